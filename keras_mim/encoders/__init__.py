"""Images to tokens: functional models without masks or losses."""

from keras_mim.encoders.encoder import Encoder as Encoder
from keras_mim.encoders.layer_group import LayerGroup as LayerGroup
from keras_mim.encoders.swin import Swin as Swin
from keras_mim.encoders.swin_v2 import SwinV2 as SwinV2
from keras_mim.encoders.vit import ViT as ViT
