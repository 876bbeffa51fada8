"""Pure functions on arrays: patches, masks, positions."""

from keras_mim.ops.attend import attend as attend
from keras_mim.ops.attend import mean_of_values as mean_of_values
from keras_mim.ops.average_distance import average_distance as average_distance
from keras_mim.ops.enlarge import enlarge as enlarge
from keras_mim.ops.gather import gather_tokens as gather_tokens
from keras_mim.ops.gather import take_columns as take_columns
from keras_mim.ops.gelu import gelu as gelu
from keras_mim.ops.given_mask import check_mask as check_mask
from keras_mim.ops.given_mask import mask_from_picture as mask_from_picture
from keras_mim.ops.given_mask import mask_to_pixels as mask_to_pixels
from keras_mim.ops.hog import hog as hog
from keras_mim.ops.masks import mask_from_noise as mask_from_noise
from keras_mim.ops.masks import restore_indices as restore_indices
from keras_mim.ops.masks import visible_indices as visible_indices
from keras_mim.ops.normalize_tokens import normalize_tokens as normalize_tokens
from keras_mim.ops.patches import patch_grid as patch_grid
from keras_mim.ops.patches import patchify as patchify
from keras_mim.ops.patches import unpatchify as unpatchify
from keras_mim.ops.relative_positions import (
    relative_position_index as relative_position_index,
)
from keras_mim.ops.resize_lanczos import resize_lanczos as resize_lanczos
from keras_mim.ops.resize_positions import resize_bicubic as resize_bicubic
from keras_mim.ops.resize_relative_positions import (
    resize_relative_positions as resize_relative_positions,
)
from keras_mim.ops.sine_cosine import (
    sine_cosine_positions as sine_cosine_positions,
)
from keras_mim.ops.split_tokens import split_tokens as split_tokens
