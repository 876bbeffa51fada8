"""Input pipelines: image files, packs, arrays and TFDS into batches.

The only floor that reads data with TensorFlow. It imports without it; the
methods that need it say which extra to install.
"""

from keras_mim.data.color_jitter import ColorJitter as ColorJitter
from keras_mim.data.find_splits import find_splits as find_splits
from keras_mim.data.fine_tune_augmentation import (
    FineTuneAugmentation as FineTuneAugmentation,
)
from keras_mim.data.image_pipeline import ImagePipeline as ImagePipeline
from keras_mim.data.packs import read_pack as read_pack
from keras_mim.data.read_images import read_images as read_images
