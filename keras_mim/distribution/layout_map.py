import keras

from keras_mim._checks import check_kind

# Which axis of a kernel is split: always that of the width, or of the
# perceptron's. Those of patches and predictions (patch size 14: 588) need not
# be multiples of the number of devices.
KERNELS = {
    "patch_embedding(/patches)?/projection": 1,
    "attention/query_key_value": 1,
    "attention/projection": 0,
    "mlp_in": 1,
    "mlp_out": 0,
    "embedding": 1,
    "reduction": 1,
    "expansion": 1,
    "hidden": 1,
    "prediction": 0,
}


def layout_map(device_mesh, model_dim="batch"):
    """Tells how the kernels of our models are split over a device mesh.

    For `keras.distribution.ModelParallel` on JAX, with ViT, Swin and SwinV2
    under any head. All kernels are split, and with them their gradients and
    the optimizer's moments; biases, norms, tokens and positions are on every
    device: 0.4 % of ViT-B under MAE, 0.2 % of Swin-B under SimMIM.

    With a mesh of one axis, batch and kernels are split along the same one:
    devices fetch a kernel when they need it, as in fully sharded data
    parallelism (ZeRO-3). What goes over the wires is 1.5 times what
    `DataParallel` sends, whatever the batch.

    With a second axis, kernels are split as in Megatron (in by column, out by
    row), and each step sends activations, in proportion to the batch: with 64
    images of 64 pixels on eight devices 5 times as many bytes for a small MAE,
    and 16 times for a small Swin. The columns of the fused queries, keys and
    values are no heads, which costs one more gather; splitting its rows
    instead costs as much. It is the choice when the batch is smaller than the
    number of devices.

    Args:
        device_mesh: `keras.distribution.DeviceMesh`.
        model_dim: str. The axis of the mesh along which kernels are split; its
            size must divide the encoder's and head's widths.
            Defaults to `"batch"`.

    Returns:
        `keras.distribution.LayoutMap`.

    Raises:
        ValueError: If the mesh has no such axis.

    Example:

    >>> devices = keras.distribution.list_devices()
    >>> mesh = keras.distribution.DeviceMesh((len(devices),), ["batch"])
    >>> keras.distribution.set_distribution(
    ...     keras.distribution.ModelParallel(
    ...         layout_map=keras_mim.distribution.layout_map(mesh)
    ...     )
    ... )
    >>> mae = keras_mim.MAE(encoder)  # And what builds the encoder, before.
    """
    check_kind(keras.distribution.DeviceMesh, device_mesh=device_mesh)
    if model_dim not in device_mesh.axis_names:
        raise ValueError(
            "`model_dim` must be an axis of `device_mesh`, one of "
            f"{list(device_mesh.axis_names)}. Received: model_dim={model_dim!r}"
        )
    layouts = keras.distribution.LayoutMap(device_mesh)
    for layer, axis in KERNELS.items():
        layout = (None, model_dim) if axis else (model_dim, None)
        layouts[f"(.*/)?{layer}/kernel"] = layout
    return layouts
