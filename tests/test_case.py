import json
import pathlib
import tempfile
import unittest

import keras
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]


class TestCase(unittest.TestCase):
    """What every test of the suite builds on."""

    def setUp(self):
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(0)

    def temp_dir(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return pathlib.Path(folder.name)

    def to_numpy(self, x):
        return keras.ops.convert_to_numpy(x)

    def assertAllClose(self, x, y, rtol=1e-6, atol=1e-6):
        np.testing.assert_allclose(
            self.to_numpy(x), self.to_numpy(y), rtol=rtol, atol=atol
        )

    def assertAllEqual(self, x, y):
        np.testing.assert_array_equal(self.to_numpy(x), self.to_numpy(y))

    def assertSameState(self, model, other):
        """Checks weights, what trains, and optimizers, to the last digits."""
        for one, two in zip(
            model.weights + model.optimizer.variables,
            other.weights + other.optimizer.variables,
            strict=True,
        ):
            self.assertEqual(one.trainable, two.trainable, one.path)
            self.assertAllClose(one, two)

    def run_layer_test(
        self,
        cls,
        init_kwargs,
        inputs,
        expected_shape,
        expected_dtype,
        num_weights,
        call_kwargs=None,
        prepare=None,
    ):
        """Checks what every layer must do.

        Its configuration survives JSON; symbolic and eager calls agree; any
        batch size works; a saved model computes the same; mixed precision
        gives finite values of the right dtype; one compiled training step
        runs and moves every trainable weight.

        Args:
            cls: The layer's class.
            init_kwargs: dict. Its arguments.
            inputs: list of NumPy arrays, the layer's call arguments.
            expected_shape: tuple of int. Shape of the output.
            expected_dtype: str. Dtype of the output.
            num_weights: int. Number of the layer's weights.
            call_kwargs: dict or `None`. Further call arguments.
            prepare: function or `None`. Gets the layer before the training
                step: for layers that start where gradients are zero.
        """
        call_kwargs = call_kwargs or {}
        layer = cls(**init_kwargs)
        output = layer(*inputs, **call_kwargs)
        self.assertEqual(tuple(output.shape), expected_shape)
        self.assertEqual(
            keras.backend.standardize_dtype(output.dtype), expected_dtype
        )
        self.assertEqual(len(layer.weights), num_weights)

        config = json.loads(json.dumps(layer.get_config()))
        again = cls.from_config(config).get_config()
        self.assertEqual(json.loads(json.dumps(again)), config)

        symbolic = [
            keras.Input(x.shape[1:], dtype=str(x.dtype)) for x in inputs
        ]
        layer = cls(**init_kwargs)
        model = keras.Model(symbolic, layer(*symbolic, **call_kwargs))
        self.assertEqual(model.output_shape, (None, *expected_shape[1:]))
        self.assertEqual(
            keras.backend.standardize_dtype(model.output.dtype),
            expected_dtype,
        )
        for batch_size in (1, len(inputs[0])):
            batch = [x[:batch_size] for x in inputs]
            self.assertEqual(
                tuple(model(batch).shape), (batch_size, *expected_shape[1:])
            )
        self._check_saving(model, layer, inputs)
        if prepare is not None:
            prepare(layer)
        if expected_dtype == "float32":
            self._check_mixed_precision(cls, init_kwargs, inputs, call_kwargs)
            self._check_compiled_step(model, layer, inputs)

    def _check_saving(self, model, layer, inputs):
        path = self.temp_dir() / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
        if not layer.variables or layer.weights:  # Not a random layer.
            self.assertAllClose(loaded(inputs), model(inputs))
        self.assertEqual(
            [w.path for w in loaded.weights], [w.path for w in model.weights]
        )

    def _check_mixed_precision(self, cls, init_kwargs, inputs, call_kwargs):
        layer = cls(**{"dtype": "mixed_bfloat16", **init_kwargs})
        output = layer(*inputs, **call_kwargs)
        self.assertEqual(
            keras.backend.standardize_dtype(output.dtype), layer.compute_dtype
        )
        output = self.to_numpy(keras.ops.cast(output, "float32"))
        self.assertTrue(np.isfinite(output).all())
        for weight in layer.trainable_weights:
            self.assertEqual(weight.dtype, "float32")

    def _check_compiled_step(self, model, layer, inputs):
        if not layer.trainable_weights:
            self.assertAllClose(
                model.predict(inputs, verbose=0), model(inputs), 1e-5, 1e-5
            )
            return
        # A target far off, so that every weight has a gradient.
        target = np.random.default_rng(0).normal(size=model(inputs).shape)
        before = [self.to_numpy(w).copy() for w in layer.trainable_weights]
        model.compile("sgd", "mse", jit_compile=self.jit_compile())
        model.fit(inputs, target.astype("float32"), verbose=0)
        for weight, old in zip(layer.trainable_weights, before):
            self.assertTrue(
                np.any(self.to_numpy(weight) != old), f"{weight.path} is stuck"
            )

    def jit_compile(self):
        # Keras's torch backend compiles with dynamo, which needs a compiler
        # and a minute; the other two compile with XLA.
        return keras.backend.backend() != "torch"
