from keras_mim._checks import check_numbers
from keras_mim._requirements import require
from keras_mim.data._checks import check_normalized
from keras_mim.data._checks import check_seed
from keras_mim.normalization import Normalization


class ColorJitter:
    """Changes brightness, contrast and saturation of images at random.

    It takes normalized batches of a pipeline. MAE does not need it (table 1e
    of [He et al., 2021](https://arxiv.org/abs/2111.06377)); BEiT's paper has a
    strength of 0.4. keras-cv does the work: it adds the brightness, where
    torchvision multiplies with it, and what it draws is not the same twice,
    whatever the seed. Needs `pip install "keras-mim[data]"`.

    Args:
        strength: float in [0, 1]. Largest change, as a share of the range.
            Defaults to `0.4`.
        normalization: `keras_mim.Normalization`. The pipeline's own. Defaults
            to `None`: the default for three channels.
        seed: int. Defaults to `None`.

    Call arguments:
        images: float32 tensor of shape `(batch_size, height, width, 3)`,
            normalized.

    Returns:
        Tensor of the same shape and dtype.

    Example:

    >>> images = ImagePipeline((64, 64, 3), 32).from_folder("photos")
    >>> images = images.map(ColorJitter(0.4))
    """

    def __init__(self, strength=0.4, normalization=None, seed=None):
        check_numbers("[0, 1]", strength=strength)
        check_seed(seed)
        self.strength = strength = float(strength)
        self.normalization = Normalization.resolve(normalization, 3)
        self.seed = seed
        self.tensorflow = require("tensorflow")
        self.jitter = require("keras_cv").layers.RandomColorJitter(
            (0, 1),
            brightness_factor=strength,
            contrast_factor=strength,
            # 0.5 leaves colors as they are, 0 makes gray.
            saturation_factor=(0.5 - strength / 2, 0.5 + strength / 2),
            hue_factor=0.0,
            seed=seed,
        )

    def __call__(self, images):
        check_normalized(images, channels=3)
        pixels = self.normalization.denormalize(images)
        pixels = self.jitter(pixels, training=True)
        pixels = self.tensorflow.clip_by_value(pixels, 0.0, 1.0)
        return self.normalization.normalize(pixels)
