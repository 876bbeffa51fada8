"""MAE's own files, whose names detectron2 and mmsegmentation read too."""

from keras_mim.converters.layouts.vit_layout import ViTLayout

# `LayerScale`, relative positions, queries and values with a bias alone, and
# SimMIM's head.
MAE = ViTLayout(
    name="mae",
    no_place=(r"\.ls\d|\.gamma_\d|relative_position|\.[qv]_bias|^decoder\.0"),
)
