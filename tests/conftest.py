import os

# Small models run for a few steps: compiling them well takes longer than
# running them. Before the backend is imported, which reads this once.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import keras  # noqa: E402
import pytest  # noqa: E402


def pytest_collection_modifyitems(items):
    backend = keras.backend.backend()
    for item in items:
        for name in ("tensorflow", "jax", "torch"):
            if name != backend and item.get_closest_marker(f"{name}_only"):
                reason = f"needs KERAS_BACKEND={name}"
                item.add_marker(pytest.mark.skip(reason=reason))
