import keras

from keras_mim._checks import check_choice
from keras_mim.distribution._jax_placement import JAXPlacement
from keras_mim.distribution._tensorflow_placement import TensorFlowPlacement
from keras_mim.distribution._torch_placement import TorchPlacement
from keras_mim.distribution.placement import Placement

KINDS = (None, "data", "model")


def start(kind="data"):
    """Starts training on every device of every host that takes part.

    Call it before anything is computed: it joins the other processes. JAX
    uses `keras.distribution`, TensorFlow `tf.distribute`, and torch
    `DistributedDataParallel`, whose processes torchrun starts. Several hosts
    are told of each other as each engine documents it; guides/scaling.md has
    the commands.

    Args:
        kind: str or `None`. `"data"` shares every batch out and keeps all
            weights on every device. `"model"` (JAX alone) also keeps only a
            part of the weights and of the optimizer's state on each device,
            as `layout_map` splits them. `None` trains on one device, so that
            the same script can do that too. Defaults to `"data"`.

    Returns:
        `Placement`, which says what this process has to do and trains.

    Raises:
        ValueError: If the backend cannot train in this way, or if torch's
            processes were not started by torchrun.

    Example:

    >>> placement = keras_mim.distribution.start("data")
    >>> image_shape = (224, 224, 3)
    >>> pipeline = keras_mim.data.ImagePipeline(
    ...     image_shape,
    ...     placement.batch_size(1024),
    ...     seed=0,
    ...     drop_remainder=True,
    ...     shard=placement.shard,
    ... )
    >>> with placement.scope():
    ...     encoder = keras_mim.encoders.ViT.from_size("base", image_shape, 16)
    ...     mae = keras_mim.MAE(encoder)
    ...     mae.compile(keras.optimizers.AdamW(1e-3))
    >>> placement.fit(
    ...     mae,
    ...     pipeline.from_folder("photos"),
    ...     epochs=100,
    ...     callbacks=[
    ...         placement.chief_only(keras.callbacks.CSVLogger("log.csv")),
    ...         placement.backup("backup"),
    ...     ],
    ... )
    >>> mae = placement.finish(mae, "mae.keras")
    >>> if mae is not None:  # In the first process.
    ...     mae.encoder.save("encoder.keras")
    """
    backend = keras.backend.backend()
    check_choice("kind", kind, KINDS)
    if kind is None:
        return Placement()
    if backend == "jax":
        return JAXPlacement(kind)
    if kind == "model":
        raise ValueError(
            '`kind="model"` needs KERAS_BACKEND=jax. Received: '
            f"kind={kind!r} with KERAS_BACKEND={backend}"
        )
    return (
        TensorFlowPlacement() if backend == "tensorflow" else TorchPlacement()
    )
