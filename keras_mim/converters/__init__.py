"""Published checkpoints in and out; KerasHub in and out."""

from keras_mim.converters.from_checkpoint import (
    from_checkpoint as from_checkpoint,
)
from keras_mim.converters.from_keras_hub import from_keras_hub as from_keras_hub
from keras_mim.converters.load import load_beit as load_beit
from keras_mim.converters.load import load_hf_vit as load_hf_vit
from keras_mim.converters.load import load_hf_vit_mae as load_hf_vit_mae
from keras_mim.converters.load import load_mae as load_mae
from keras_mim.converters.load import load_simmim as load_simmim
from keras_mim.converters.load import load_swin as load_swin
from keras_mim.converters.load import load_timm_vit as load_timm_vit
from keras_mim.converters.load_dalle import load_dalle as load_dalle
from keras_mim.converters.load_encoder import load_encoder as load_encoder
from keras_mim.converters.report import Report as Report
from keras_mim.converters.to_keras_hub import to_keras_hub as to_keras_hub
from keras_mim.converters.to_torch import (
    to_torch_state_dict as to_torch_state_dict,
)
