import keras


def device():
    """Returns the backend, and for JAX what it runs on: `"jax gpu"`, say."""
    backend = keras.backend.backend()
    if backend != "jax":
        return backend
    kind = keras.distribution.list_devices()[0].split(":")[0]
    return f"jax {kind}"
