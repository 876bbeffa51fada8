"""What is to be predicted: layers from images to a value per patch."""

from keras_mim.targets.class_target import ClassTarget as ClassTarget
from keras_mim.targets.color_bin_target import ColorBinTarget as ColorBinTarget
from keras_mim.targets.color_cluster_target import (
    ColorClusterTarget as ColorClusterTarget,
)
from keras_mim.targets.dalle_encoder import DalleEncoder as DalleEncoder
from keras_mim.targets.ema_target import EMATarget as EMATarget
from keras_mim.targets.feature_target import FeatureTarget as FeatureTarget
from keras_mim.targets.hog_target import HOGTarget as HOGTarget
from keras_mim.targets.pca_target import PCATarget as PCATarget
from keras_mim.targets.pixel_target import PixelTarget as PixelTarget
from keras_mim.targets.target import Target as Target
from keras_mim.targets.token_target import TokenTarget as TokenTarget
