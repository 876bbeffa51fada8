import keras


def sync_state(model):
    """Gives a model's variables what training made of them.

    On JAX, `fit` holds their values apart from them, until it is asked.
    """
    if keras.backend.backend() == "jax":
        model.jax_state_sync()
