"""What is to be predicted: layers from images to a value per patch."""

from keras_mim.targets.pixel_target import PixelTarget as PixelTarget
from keras_mim.targets.target import Target as Target
