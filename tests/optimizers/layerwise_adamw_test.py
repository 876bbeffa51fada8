import json

import keras
import numpy as np

from keras_mim.optimizers import LayerwiseAdamW
from tests.test_case import TestCase

RATE, DECAY, STEPS = 0.01, 0.1, 4
SCALES, DECAYED = [1.0, 0.5, 0.0, 0.25], [True, False, True, True]


def weights():
    rng = np.random.default_rng(0)
    shapes = (3, 2), (4,), (2, 2), (5,)
    return [
        keras.Variable(rng.normal(size=shape).astype("float32"), name=f"w{i}")
        for i, shape in enumerate(shapes)
    ]


def gradients():
    rng = np.random.default_rng(1)
    return [
        [rng.normal(size=w.shape).astype("float32") for w in weights()]
        for _ in range(STEPS)
    ]


def run(optimizer):
    variables = weights()
    for step in gradients():
        step = [keras.ops.convert_to_tensor(g) for g in step]
        optimizer.apply(step, variables)
    return [keras.ops.convert_to_numpy(v) for v in variables]


def adamw(value, steps, rate, decay):
    """PyTorch's definition, in NumPy."""
    mean = square = 0
    for step, gradient in enumerate(steps, 1):
        value = value * (1 - rate * decay)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        deviation = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        value = value - rate * mean / (1 - 0.9**step) / deviation
    return value


class LayerwiseAdamWTest(TestCase):
    def test_each_weight_has_its_own_rate_and_decay(self):
        optimizer = LayerwiseAdamW(
            RATE, DECAY, learning_rate_scales=SCALES, decayed=DECAYED
        )
        found = run(optimizer)
        steps = list(zip(*gradients()))
        for i, first in enumerate(weights()):
            expected = adamw(
                self.to_numpy(first),
                steps[i],
                RATE * SCALES[i],
                DECAY * DECAYED[i],
            )
            self.assertAllClose(found[i], expected)
        self.assertAllEqual(found[2], weights()[2])

    def test_without_scales_it_is_keras_adamw(self):
        stock = keras.optimizers.AdamW(RATE, DECAY, epsilon=1e-8)
        first = weights()
        stock.build(first)
        expected = keras.optimizers.AdamW(RATE, DECAY, epsilon=1e-8)
        expected.exclude_from_weight_decay(var_names=["w1", "w3"])
        for own, theirs in zip(
            run(LayerwiseAdamW(RATE, DECAY)), run(expected), strict=True
        ):
            self.assertAllClose(own, theirs)

    def test_the_norm_of_all_gradients_together_is_clipped(self):
        own = LayerwiseAdamW(
            RATE, 0.0, global_clipnorm=1e-7, learning_rate_scales=[1.0] * 4
        )
        stock = keras.optimizers.AdamW(
            RATE, 0.0, epsilon=1e-8, global_clipnorm=1e-7
        )
        for a, b in zip(run(own), run(stock), strict=True):
            self.assertAllClose(a, b)

    def test_a_schedule_accumulation_and_averages(self):
        schedule = keras.optimizers.schedules.CosineDecay(RATE, STEPS)
        options = {"gradient_accumulation_steps": 2, "use_ema": True}
        scaled = run(
            LayerwiseAdamW(
                schedule, 0.0, learning_rate_scales=[0.5] * 4, **options
            )
        )
        half = keras.optimizers.schedules.CosineDecay(RATE / 2, STEPS)
        stock = run(keras.optimizers.AdamW(half, 0.0, epsilon=1e-8, **options))
        for a, b in zip(scaled, stock, strict=True):
            self.assertAllClose(a, b)

    def test_under_loss_scaling(self):
        policy = keras.config.dtype_policy()
        self.addCleanup(keras.config.set_dtype_policy, policy)
        keras.config.set_dtype_policy("mixed_float16")
        inputs = keras.Input((3,))
        model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
        kernel, bias = model.get_weights()
        model.compile(
            LayerwiseAdamW(0.1, 0.0, learning_rate_scales=[0.5, 0.0]), "mse"
        )
        self.assertIsInstance(
            model.optimizer, keras.optimizers.LossScaleOptimizer
        )
        # Small, or the scaled gradients overflow and the steps are left out.
        data = np.full((4, 3), 0.1, "float32"), np.ones((4, 2), "float32")
        model.fit(*data, epochs=2, verbose=0)
        # Adam's first steps are as long as its rate.
        self.assertAllClose(model.weights[0], kernel + 2 * 0.05, 1e-3, 1e-3)
        self.assertAllEqual(model.weights[1], bias)

    def test_configuration_survives_json(self):
        optimizer = LayerwiseAdamW(
            RATE, learning_rate_scales=SCALES, decayed=DECAYED
        )
        config = json.loads(json.dumps(optimizer.get_config()))
        again = LayerwiseAdamW.from_config(config)
        self.assertEqual(again.learning_rate_scales, SCALES)
        self.assertEqual(again.decayed, DECAYED)
        self.assertEqual(again.weight_decay, 0.05)

    def test_a_saved_model_goes_on_as_it_would_have(self):
        inputs = keras.Input((3,))
        model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
        model.compile(
            LayerwiseAdamW(
                0.1, learning_rate_scales=[0.5, 0.0], decayed=[1, 0]
            ),
            "mse",
        )
        data = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
        model.fit(*data, verbose=0)
        path = self.temp_dir() / "model.keras"
        model.save(path)
        again = keras.saving.load_model(path)
        for one in (model, again):
            one.fit(*data, verbose=0)
        for a, b in zip(model.weights, again.weights, strict=True):
            self.assertAllClose(a, b)
        self.assertAllEqual(model.weights[1], [0.0, 0.0])

    def test_wrong_arguments(self):
        with self.assertRaisesRegex(ValueError, "non-negative numbers.*-1"):
            LayerwiseAdamW(learning_rate_scales=[1, -1])
        for name in ("learning_rate_scales", "decayed"):
            optimizer = LayerwiseAdamW(**{name: [1, 1]})
            with self.assertRaisesRegex(
                ValueError, f"`{name}` must .* 4 .* Received: 2 values"
            ):
                optimizer.build(weights())
