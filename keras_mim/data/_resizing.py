from keras_mim._requirements import require

KERNELS = {"bicubic": "keyscubic", "bilinear": "triangle"}


def resize(pixels, size, interpolation):
    """Resizes an image with antialiasing, as `tf.image.resize` does.

    The same values to the last bit, in less than half of the time:
    TensorFlow resizes columns in a loop over the channels, and rows in vector
    instructions. Here both are rows, of the image and of its transpose.

    Args:
        pixels: uint8, uint16 or float tensor of shape
            `(height, width, channels)`.
        size: pair of ints or int32 tensor. Height and width wanted.
        interpolation: str. `"bicubic"` or `"bilinear"`.

    Returns:
        float32 tensor of shape `(*size, channels)`.
    """
    tf = require("tensorflow")
    channels = pixels.shape[2]
    for side in (size[0], size[1]):
        pixels = _resize_rows(pixels, side, KERNELS[interpolation])
        pixels = tf.transpose(pixels, (1, 0, 2))
    return tf.ensure_shape(pixels, (None, None, channels))


def _resize_rows(pixels, height, kernel):
    """Resizes the height; what is in a row is taken as its channels."""
    tf = require("tensorflow")
    shape = tf.shape(pixels)
    scale = tf.cast(height / shape[0], "float32")
    resized = tf.raw_ops.ScaleAndTranslate(
        images=tf.reshape(pixels, (1, shape[0], 1, -1)),
        size=(height, 1),
        scale=tf.stack([scale, 1.0]),
        translation=(0.0, 0.0),
        kernel_type=kernel,
        antialias=True,
    )
    return tf.reshape(resized, (height, shape[1], shape[2]))
