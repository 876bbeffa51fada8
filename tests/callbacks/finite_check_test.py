import keras
import numpy as np

from keras_mim.callbacks import FiniteCheck
from tests.test_case import TestCase


def make_model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    optimizer = keras.optimizers.Adam(0.125)
    model.compile(optimizer, "mse", metrics=["mae"], jit_compile=False)
    return model


def make_data():
    x = np.random.default_rng(0).normal(size=(10, 4)).astype("float32")
    return x, x[:, :2]


class FiniteCheckTest(TestCase):
    def fit(self, x, y, model=None, **arguments):
        model = model or make_model()
        check = FiniteCheck(**arguments)
        options = {"batch_size": 2, "shuffle": False, "verbose": 0}
        history = model.fit(x, y, epochs=2, callbacks=[check], **options)
        return model, history.history

    def test_the_error_names_step_rate_and_last_loss(self):
        x, y = make_data()
        first = str(make_model().evaluate(x[:2], y[:2], verbose=0)[0])[:5]
        x[3] = np.nan
        with self.assertRaisesRegex(
            FloatingPointError,
            rf"Step 2 of epoch 1 .* nan.*{first}\d*, at step 1 .* 0.125",
        ):
            self.fit(x, y)

    def test_weights_that_are_not_finite(self):
        x, y = make_data()
        model = make_model()
        # Float32 ends before the update, and nothing looks at it any more.
        model.optimizer.learning_rate = 1e39
        with self.assertRaisesRegex(FloatingPointError, "not finite"):
            self.fit(x[:2], y[:2], model)

    def test_skipped_steps_are_as_if_they_were_not(self):
        x, y = make_data()
        good = [i for i in range(10) if i not in (2, 3)]
        expected, history = self.fit(x[good], y[good])
        for bad in (np.nan, 1e30):
            spoilt = x.copy()
            spoilt[3] = bad
            model, found = self.fit(spoilt, y, max_skipped=2)
            pairs = zip(
                [*expected.weights, *expected.optimizer.variables],
                [*model.weights, *model.optimizer.variables],
                strict=True,
            )
            for one, other in pairs:
                self.assertAllEqual(one, other)
            self.assertEqual(found["loss"], history["loss"])
            self.assertEqual(found["mae"], history["mae"])
            self.assertEqual(found["skipped_steps"], [1, 2])
            with self.assertRaisesRegex(
                FloatingPointError, "Step 2 of epoch 2"
            ):
                self.fit(spoilt, y, max_skipped=1)

    def test_a_negative_number_of_steps(self):
        with self.assertRaisesRegex(ValueError, "Received: max_skipped=-1"):
            FiniteCheck(-1)
