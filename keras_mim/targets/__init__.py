"""What is to be predicted: layers from images to a value per patch."""

from keras_mim.targets.class_target import ClassTarget as ClassTarget
from keras_mim.targets.color_bin_target import ColorBinTarget as ColorBinTarget
from keras_mim.targets.color_cluster_target import (
    ColorClusterTarget as ColorClusterTarget,
)
from keras_mim.targets.pixel_target import PixelTarget as PixelTarget
from keras_mim.targets.target import Target as Target
