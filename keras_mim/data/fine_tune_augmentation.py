import keras

from keras_mim._checks import check_counts
from keras_mim._checks import check_flags
from keras_mim._checks import check_numbers
from keras_mim._requirements import require
from keras_mim.data._batch_seeds import BatchSeeds
from keras_mim.data._batch_seeds import batch_seeds
from keras_mim.data._checks import check_normalized
from keras_mim.data._checks import check_seed
from keras_mim.data._classes import assert_labels
from keras_mim.normalization import Normalization

# keras-cv's magnitude 1 shears by 45 degrees and shifts by a whole image. 0.4
# shifts by up to 0.4 of it: timm's magnitude 9 of 10, by up to 0.405.
MAGNITUDE = 0.4
# timm's standard deviation of 0.5, on its scale to 10, of that.
MAGNITUDE_STDDEV = 0.02


class FineTuneAugmentation:
    """Distorts and mixes batches as MAE and SimMIM do when they fine-tune.

    It takes batches of a pipeline that crops, flips and normalizes. RandAugment
    distorts the pixels, rectangles are erased at random, and each batch is then
    mixed by either MixUp or CutMix, with equal chances. Labels become
    probabilities, smoothed and mixed.

    References: RandAugment ([Cubuk et al.,
    2019](https://arxiv.org/abs/1909.13719)) by keras-cv, which is 2 to 7 times
    as fast as Keras's and distorts each image in its own way; random erasing,
    MixUp and CutMix by Keras, which take their seed from outside. The originals
    use timm's `rand-m9-mstd0.5-inc1`, erasing mode `"pixel"` and `Mixup`: this
    has the rates and strengths, not the same list of distortions; Keras draws a
    mixing weight per image where timm draws one per batch, and keeps CutMix's
    rectangle inside the image; the noise that erases stays within one
    deviation.

    What is drawn follows from `seed` and the epoch, so that a resumed run goes
    on as if it had not been interrupted. RandAugment is the exception: what
    keras-cv draws is not the same twice, whatever the seed.

    Needs `pip install "keras-mim[data]"`.

    Args:
        num_classes: int. Number of classes.
        rand_augment: bool. Whether to distort. Needs three channels.
            Defaults to `True`.
        erase_rate: float. Share of the images with an erased rectangle.
            Defaults to `0.25`.
        mixup_alpha: float. MixUp's Beta distribution; 0 for none.
            Defaults to `0.8`.
        cutmix_alpha: float in [0, 1]. CutMix's Beta distribution; 0 for none.
            Defaults to `1.0`.
        label_smoothing: float. Share of the probability that is spread over
            all classes. Defaults to `0.1`.
        normalization: `keras_mim.Normalization`. The pipeline's own; only
            `rand_augment` needs it. Defaults to `None`: the default for three
            channels.
        seed: int. Defaults to `None`.
        first_epoch: int. As in `ImagePipeline`. Defaults to `0`.

    Call arguments:
        batches: `tf.data.Dataset` of pairs of float32 images, normalized, of
            shape `(batch_size, height, width, channels)`, and integer labels
            of shape `(batch_size,)`, from 0 to `num_classes - 1`.

    Returns:
        `tf.data.Dataset` of the images and float32 probabilities of shape
        `(batch_size, num_classes)`. It fails when it comes to a wrong label.

    Example:

    >>> pipeline = ImagePipeline((224, 224, 3), 256, scale=(0.08, 1.0))
    >>> batches = pipeline.from_folder("flowers/train", labels=True)
    >>> batches = batches.apply(FineTuneAugmentation(num_classes=5))
    """

    def __init__(
        self,
        num_classes,
        rand_augment=True,
        erase_rate=0.25,
        mixup_alpha=0.8,
        cutmix_alpha=1.0,
        label_smoothing=0.1,
        normalization=None,
        seed=None,
        first_epoch=0,
    ):
        check_counts(num_classes=num_classes)
        check_flags(rand_augment=rand_augment)
        check_numbers("[0, 1]", erase_rate=erase_rate)
        check_numbers("[0, inf)", mixup_alpha=mixup_alpha)
        check_numbers("[0, 1]", cutmix_alpha=cutmix_alpha)
        check_numbers("[0, 1]", label_smoothing=label_smoothing)
        check_seed(seed)
        check_counts(least=0, first_epoch=first_epoch)
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing
        self.seed, self.first_epoch = seed, first_epoch
        self.normalization = normalization
        if rand_augment or not isinstance(normalization, Normalization):
            self.normalization = Normalization.resolve(normalization, 3)
        self.distort = self.erase = None
        if rand_augment:
            # Two distortions an image, each done half of the time.
            self.distort = require("keras_cv").layers.RandAugment(
                (0, 255), 2, MAGNITUDE, MAGNITUDE_STDDEV, rate=0.5, seed=seed
            )
        # Whatever precision the model has, pixels and labels keep theirs.
        if erase_rate:
            # Keras draws a rate between the two; one float is from 0 on.
            self.erase = keras.layers.RandomErasing(
                (erase_rate, erase_rate),
                value_range=(-1.0, 1.0),
                dtype="float32",
            )
        self.mixers = []
        if mixup_alpha:
            self.mixers.append(keras.layers.MixUp(mixup_alpha, dtype="float32"))
        if cutmix_alpha:
            # As with the rate.
            factor = (cutmix_alpha, cutmix_alpha)
            self.mixers.append(keras.layers.CutMix(factor, dtype="float32"))

    def __call__(self, batches):
        tf = require("tensorflow")
        form = getattr(batches, "element_spec", batches)
        if not isinstance(form, tuple) or len(form) != 2:
            raise ValueError(
                "`batches` must be pairs of images and labels: pass "
                f"`labels=True` to the pipeline. Received: {form}"
            )
        check_normalized(form[0], 3 if self.distort is not None else None)
        if not form[1].dtype.is_integer or form[1].shape.rank not in (None, 1):
            raise ValueError(
                "Labels must be integers of shape (batch_size,), classes and "
                f"not probabilities. Received: {form[1]}"
            )
        names = getattr(batches, "class_names", None)
        if names is not None and len(names) != self.num_classes:
            raise ValueError(
                f"`num_classes` must be {len(names)}, the number of classes of "
                f"the batches. Received: num_classes={self.num_classes}"
            )
        if self.distort is not None:
            batches = batches.map(
                self.distort_images,
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
        seeds = batch_seeds(self.seed, self.first_epoch)
        batches = tf.data.Dataset.zip(batches, seeds).map(
            lambda batch, seed: self.mix_batch(*batch, BatchSeeds(seed)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        return batches.prefetch(2)

    def distort_images(self, images, labels):
        """Returns the images after RandAugment, and the labels."""
        tf = require("tensorflow")
        pixels = self.normalization.denormalize(images) * 255.0
        # keras-cv fails on a pixel outside of its range.
        pixels = tf.clip_by_value(pixels, 0.0, 255.0)
        pixels = self.distort(pixels, training=True)
        pixels = tf.clip_by_value(pixels, 0.0, 255.0) / 255.0
        distorted = self.normalization.normalize(pixels)
        return tf.ensure_shape(distorted, images.shape), labels

    def mix_batch(self, images, labels, seeds):
        """Returns erased and mixed images, and mixed probabilities."""
        tf = require("tensorflow")
        labels = tf.one_hot(
            assert_labels(labels, self.num_classes), self.num_classes
        )
        share = self.label_smoothing / self.num_classes
        labels = labels * (1 - self.label_smoothing) + share
        batch = images, labels
        if self.erase is not None:
            batch = transform_batch(self.erase, batch, seeds)
        if self.mixers:
            first, last = self.mixers[0], self.mixers[-1]
            batch = tf.cond(
                tf.random.stateless_uniform((), seeds.next()) < 0.5,
                lambda: transform_batch(first, batch, seeds),
                lambda: transform_batch(last, batch, seeds),
            )
        return (
            tf.ensure_shape(batch[0], images.shape),
            tf.ensure_shape(batch[1], labels.shape),
        )


def transform_batch(layer, batch, seeds):
    """Returns images and labels as one of Keras's layers changes them."""
    images, labels = batch
    # Whatever Keras's backend is, this is a TensorFlow graph.
    layer.backend.set_backend("tensorflow")
    drawn = layer.get_random_transformation(
        {"images": images, "labels": labels}, training=True, seed=seeds
    )
    images = layer.transform_images(images, drawn, training=True)
    labels = layer.transform_labels(labels, drawn, training=True)
    layer.backend.reset()
    return images, labels
