import importlib.util
import os

# Small models run for a few steps: compiling them well takes longer. Parity,
# which has transformers, is shown as users compile.
if importlib.util.find_spec("transformers") is None:
    fast = "--xla_backend_optimization_level=0"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {fast}"

import keras  # noqa: E402
import pytest  # noqa: E402


def pytest_collection_modifyitems(items):
    backend = keras.backend.backend()
    for item in items:
        for name in ("tensorflow", "jax", "torch"):
            if name != backend and item.get_closest_marker(f"{name}_only"):
                reason = f"needs KERAS_BACKEND={name}"
                item.add_marker(pytest.mark.skip(reason=reason))
