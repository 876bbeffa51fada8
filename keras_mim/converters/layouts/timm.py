"""timm's ViTs: MAE's names, and `LayerScale`. Its Swins are in `swin.py`."""

from keras_mim.converters.layouts.vit_layout import ViTLayout

TIMM = ViTLayout(
    name="timm", no_place=r"\.gamma_\d|relative_position|\.[qv]_bias"
)
