"""Tokens to tokens, and the heads that predict from them."""

from keras_mim.layers.attention import Attention as Attention
from keras_mim.layers.class_token import ClassToken as ClassToken
from keras_mim.layers.drop_path import DropPath as DropPath
from keras_mim.layers.gather_visible import GatherVisible as GatherVisible
from keras_mim.layers.grid_head import GridHead as GridHead
from keras_mim.layers.head import Head as Head
from keras_mim.layers.inverse_swin_head import (
    InverseSwinHead as InverseSwinHead,
)
from keras_mim.layers.layer_scale import LayerScale as LayerScale
from keras_mim.layers.mae_head import MAEHead as MAEHead
from keras_mim.layers.mask_token import MaskToken as MaskToken
from keras_mim.layers.mlp_head import MLPHead as MLPHead
from keras_mim.layers.one_sigma_normal import OneSigmaNormal as OneSigmaNormal
from keras_mim.layers.patch_embedding import PatchEmbedding as PatchEmbedding
from keras_mim.layers.patch_merging import PatchMerging as PatchMerging
from keras_mim.layers.patch_splitting import PatchSplitting as PatchSplitting
from keras_mim.layers.position_embedding import (
    PositionEmbedding as PositionEmbedding,
)
from keras_mim.layers.relative_position_bias import (
    RelativePositionBias as RelativePositionBias,
)
from keras_mim.layers.restore_tokens import RestoreTokens as RestoreTokens
from keras_mim.layers.simmim_head import SimMIMHead as SimMIMHead
from keras_mim.layers.swin_block import SwinBlock as SwinBlock
from keras_mim.layers.swin_v2_block import SwinV2Block as SwinV2Block
from keras_mim.layers.transformer_block import (
    TransformerBlock as TransformerBlock,
)
from keras_mim.layers.window_attention import WindowAttention as WindowAttention
from keras_mim.layers.window_cosine_attention import (
    WindowCosineAttention as WindowCosineAttention,
)
