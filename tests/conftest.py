import keras
import pytest


def pytest_collection_modifyitems(items):
    backend = keras.backend.backend()
    for item in items:
        for name in ("tensorflow", "jax", "torch"):
            if name != backend and item.get_closest_marker(f"{name}_only"):
                reason = f"needs KERAS_BACKEND={name}"
                item.add_marker(pytest.mark.skip(reason=reason))
