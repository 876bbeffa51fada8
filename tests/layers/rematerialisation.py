from unittest import mock

import keras
import numpy as np

from tests import reference


def check_remat(test, cls, arguments, tokens):
    """Checks that `remat` changes nothing in training, drop path included.

    Args:
        test: `TestCase`.
        cls: Class of a block with arguments `remat` and `drop_path_rate`.
        arguments: dict. Its further arguments.
        tokens: Array. Its input.
    """
    results = []
    for remat in (False, True):
        # The same draws of drop path.
        keras.utils.set_random_seed(0)
        inputs = keras.Input(tokens.shape[1:])
        block = cls(**arguments, drop_path_rate=0.5, remat=remat)
        model = keras.Model(inputs, block(inputs))
        reference.randomise(block)
        model.compile(
            # So that weights move by their gradients.
            keras.optimizers.SGD(1.0),
            "mse",
            # TensorFlow's graphs without XLA, which takes ten times as long.
            jit_compile=keras.backend.backend() == "jax",
        )
        with mock.patch.object(keras, "remat", wraps=keras.remat) as applied:
            model(tokens[:1])  # Exported models have nothing of it.
            test.assertEqual(applied.call_count, 0)
            history = model.fit(tokens, -tokens, verbose=0).history
        # Both branches, in each trace.
        test.assertEqual(applied.call_count > 0, remat)
        test.assertEqual(applied.call_count % 2, 0)
        results.append([history["loss"][0], *block.get_weights()])
        # The seeds of drop path, which moved once.
        states = [v for v in block.variables if "seed" in v.path]
        test.assertEqual(len(states), 2)
        results[-1] += [test.to_numpy(v) for v in states]
    for one, other in zip(*results, strict=True):
        # Compilers may fuse the second computation otherwise.
        test.assertAllClose(np.array(one), other, 1e-5, 1e-5)
