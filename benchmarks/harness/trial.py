"""Is a device right? A few small steps, to be compared with another device.

Everything comes from one seed of NumPy's, so that backends and devices compute
the same numbers: weights, images and masks.
"""

import numpy as np

# Sides of the images; the ViT has 36 patches and a class token, an odd number.
SIDE = 48


def run(method, precision):
    """Trains a small model.

    Args:
        method: str. `"mae"`, of a ViT, or `"simmim"`, of a Swin.
        precision: str. `"float32"` or `"bfloat16"`.

    Returns:
        dict of lists of float: `"losses"` of eight steps of AdamW, and some of
        the first `"predictions"`.
    """
    import keras

    if precision != "float32":
        keras.config.set_dtype_policy(f"mixed_{precision}")
    random = np.random.default_rng(0)
    model = _mae() if method == "mae" else _simmim()
    for variable in model.trainable_variables:
        values = random.normal(scale=0.05, size=variable.shape)
        variable.assign(values + (variable.path.split("/")[-1] == "gamma"))
    number = model.masking.num_masked(model.encoder.grid)
    ranks = random.random((8, model.encoder.num_patches)).argsort(1).argsort(1)
    inputs = {
        "images": random.normal(size=(8, SIDE, SIDE, 3)).astype("float32"),
        "masked": ranks < number,
    }
    predictions = model.predict_patches(inputs["images"], inputs["masked"])
    model.compile(keras.optimizers.AdamW(1e-3, 0.05))
    losses = [float(model.train_on_batch(inputs)) for _ in range(8)]
    some = predictions[:, ::7, ::11].ravel().astype(float)
    return {"losses": losses, "predictions": some.round(6).tolist()}


def difference(found, expected):
    """Returns the largest difference, in shares of the largest number."""
    found, expected = np.asarray(found), np.asarray(expected)
    return float(abs(found - expected).max() / abs(expected).max())


def _mae():
    import keras_mim

    encoder = keras_mim.encoders.ViT((SIDE, SIDE, 3), 8, 128, 3, 2, 256)
    head = keras_mim.layers.MAEHead(64, 2, 2)
    return keras_mim.MAE(encoder, head=head)


def _simmim():
    import keras_mim

    encoder = keras_mim.encoders.Swin(
        (SIDE, SIDE, 3),
        patch_size=2,
        hidden_dim=32,
        depths=(2, 2),
        num_heads=(1, 2),
        window_size=6,
    )
    masking = keras_mim.masking.RandomMasking(0.6)
    return keras_mim.SimMIM(encoder, masking)
