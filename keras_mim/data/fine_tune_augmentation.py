import keras

from keras_mim.ops import channel_statistics
from keras_mim.ops import require

# keras-cv's magnitude 1 shears by 45 degrees and shifts by a whole image. 0.4
# shifts by up to 0.4 of it: timm's magnitude 9 of 10, by up to 0.405.
MAGNITUDE = 0.4
# timm's standard deviation of 0.5, on its scale to 10, of that.
MAGNITUDE_STDDEV = 0.02


class FineTuneAugmentation:
    """Distorts and mixes batches as MAE and SimMIM do when they fine-tune.

    On batches of a pipeline that crops, flips and normalises: RandAugment on
    the pixels; random erasing; then, for each batch, either MixUp or CutMix,
    with equal chances. Labels become probabilities, smoothed and mixed.

    References: RandAugment ([Cubuk et al.,
    2019](https://arxiv.org/abs/1909.13719)) and MixUp, CutMix by keras-cv,
    random erasing by Keras, whichever is faster. The originals use timm's
    `rand-m9-mstd0.5-inc1`, erasing mode `"pixel"` and `Mixup`: this has the
    rates and strengths, not the same list of distortions; keras-cv draws a
    mixing weight per image where timm draws one per batch; the noise that
    erases stays within one deviation.

    Needs `pip install "keras-mim[data]"`.

    Args:
        num_classes: int. Number of classes.
        rand_augment: bool. Whether to distort. Needs three channels.
            Defaults to `True`.
        erase_rate: float. Share of the images with an erased rectangle.
            Defaults to `0.25`.
        mixup_alpha: float. MixUp's Beta distribution; 0 for none.
            Defaults to `0.8`.
        cutmix_alpha: float. CutMix's Beta distribution; 0 for none.
            Defaults to `1.0`.
        label_smoothing: float. Share of the probability that is spread over
            all classes. Defaults to `0.1`.
        mean: sequence of floats. What the pipeline normalised with.
            Defaults to `None`: as in `channel_statistics`.
        std: sequence of floats, likewise. Defaults to `None`.
        seed: int. Defaults to `None`.

    Call arguments:
        images: float32 tensor of shape `(batch_size, height, width, channels)`,
            normalised.
        labels: integer tensor of shape `(batch_size,)`.

    Returns: the images, and float32 probabilities of shape `(batch_size,
        num_classes)`.

    Example:

    >>> pipeline = ImagePipeline((224, 224, 3), 256, scale=(0.08, 1.0))
    >>> batches = pipeline.from_folder("flowers/train", labels=True)
    >>> batches = batches.map(FineTuneAugmentation(num_classes=5))
    """

    def __init__(
        self,
        num_classes,
        rand_augment=True,
        erase_rate=0.25,
        mixup_alpha=0.8,
        cutmix_alpha=1.0,
        label_smoothing=0.1,
        mean=None,
        std=None,
        seed=None,
    ):
        for name, value, most in (
            ("erase_rate", erase_rate, 1),
            ("label_smoothing", label_smoothing, 1),
            ("mixup_alpha", mixup_alpha, float("inf")),
            ("cutmix_alpha", cutmix_alpha, float("inf")),
        ):
            if not 0 <= value <= most:
                raise ValueError(
                    f"`{name}` must lie in [0, {most}]. "
                    f"Received: {name}={value}"
                )
        # Not in the call, which TensorFlow compiles.
        self.tensorflow = require("tensorflow")
        layers = require("keras_cv").layers
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing
        self.mean, self.std, self.seed = mean, std, seed
        self.distort = self.erase = None
        if rand_augment:
            # Two distortions an image, each done half of the time.
            self.distort = layers.RandAugment(
                (0, 255), 2, MAGNITUDE, MAGNITUDE_STDDEV, rate=0.5, seed=seed
            )
        if erase_rate:
            # Keras draws a rate between the two; one float is from 0 on.
            self.erase = keras.layers.RandomErasing(
                (erase_rate, erase_rate), value_range=(-1.0, 1.0), seed=seed
            )
        self.mixers = []
        if mixup_alpha:
            self.mixers.append(layers.MixUp(mixup_alpha, seed=seed))
        if cutmix_alpha:
            self.mixers.append(layers.CutMix(cutmix_alpha, seed=seed))

    def __call__(self, images, labels):
        tf = self.tensorflow
        channels = images.shape[-1]
        mean, std = channel_statistics(channels, self.mean, self.std)
        if self.distort is not None:
            if channels != 3:
                raise ValueError(
                    "`rand_augment=True` needs images of 3 channels. "
                    f"Received: images of shape {tuple(images.shape)}"
                )
            pixels = (images * std + mean) * 255.0
            pixels = self.distort(pixels, training=True)
            pixels = tf.clip_by_value(pixels, 0.0, 255.0) / 255.0
            images = (pixels - mean) / std
        if self.erase is not None:
            images = self.erase(images, training=True)
        labels = tf.one_hot(labels, self.num_classes)
        share = self.label_smoothing / self.num_classes
        labels = labels * (1 - self.label_smoothing) + share
        batch = {"images": images, "labels": labels}
        if self.mixers:
            first, last = self.mixers[0], self.mixers[-1]
            batch = tf.cond(
                tf.random.uniform((), seed=self.seed) < 0.5,
                lambda: first(dict(batch), training=True),
                lambda: last(dict(batch), training=True),
            )
        images = tf.ensure_shape(batch["images"], images.shape)
        return images, tf.ensure_shape(batch["labels"], labels.shape)
