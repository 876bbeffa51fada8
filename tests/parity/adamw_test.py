"""Keras's AdamW against torch's: the same up to where epsilon is added.

With the bias-corrected moments m and v, torch steps by m / (sqrt(v) + epsilon)
and Keras by m / (sqrt(v) + epsilon / sqrt(1 - beta_2 ** t)): at step 1 and with
MAE's beta_2 = 0.95 its epsilon counts 4.5 times, at step 60 1.02 times.
"""

import math

import keras
import numpy as np
import pytest

import keras_mim
from keras_mim import layers
from tests.images import clothing
from tests.parity.record import check
from tests.parity.record import relative_difference
from tests.test_case import TestCase

BETA_1, BETA_2, WEIGHT_DECAY, EPSILON = 0.9, 0.95, 0.05, 1e-8
NUM_STEPS, WARMUP_STEPS = 100, 10
PEER = "torch.optim.AdamW"
# MAE's: 1.5e-4 per 256 images of a batch of 4096.
PEAK = 2.4e-3


class TorchPlacedAdamW(keras.optimizers.AdamW):
    """AdamW with epsilon where torch adds it, written after its manual."""

    def update_step(self, gradient, variable, learning_rate):
        ops = keras.ops
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        step = ops.cast(self.iterations + 1, variable.dtype)
        m.assign(self.beta_1 * m + (1 - self.beta_1) * gradient)
        v.assign(self.beta_2 * v + (1 - self.beta_2) * ops.square(gradient))
        corrected_m = m / (1 - ops.power(self.beta_1, step))
        corrected_v = v / (1 - ops.power(self.beta_2, step))
        update = corrected_m / (ops.sqrt(corrected_v) + self.epsilon)
        rate = ops.cast(learning_rate, variable.dtype)
        variable.assign(variable - rate * update)


def make_optimizer(cls, epsilon, peak=PEAK):
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        NUM_STEPS - WARMUP_STEPS,
        warmup_target=peak,
        warmup_steps=WARMUP_STEPS,
    )
    return cls(
        schedule,
        weight_decay=WEIGHT_DECAY,
        beta_1=BETA_1,
        beta_2=BETA_2,
        epsilon=epsilon,
    )


def learning_rate(step):
    """MAE's schedule: linear from 0, then half a cosine to 0."""
    if step < WARMUP_STEPS:
        return PEAK * step / WARMUP_STEPS
    share = (step - WARMUP_STEPS) / (NUM_STEPS - WARMUP_STEPS)
    return PEAK * 0.5 * (1 + math.cos(math.pi * share))


class Weight(keras.layers.Layer):
    """One weight, whose gradient is its input."""

    def build(self, gradient_shape):
        self.weight = self.add_weight(shape=gradient_shape[1:])

    def call(self, gradient):
        product = gradient * self.weight
        return keras.ops.sum(product, axis=tuple(range(1, product.ndim)))


class GivenGradientsTest(TestCase):
    # Standard deviations of the gradients, one row of the weight for each.
    SIZES = 10.0 ** np.arange(0, -10, -1)

    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(0)
        shape = (len(self.SIZES), 100)
        self.start = rng.normal(scale=0.02, size=shape).astype("float32")
        gradients = rng.normal(size=(NUM_STEPS, *shape))
        gradients *= self.SIZES[:, None]
        self.gradients = gradients.astype("float32")
        self.theirs = self.update_of_torch()

    def update_of_torch(self):
        torch = pytest.importorskip("torch")
        weight = torch.nn.Parameter(torch.tensor(self.start))
        optimizer = torch.optim.AdamW(
            [weight],
            betas=(BETA_1, BETA_2),
            eps=EPSILON,
            weight_decay=WEIGHT_DECAY,
        )
        for step, gradient in enumerate(self.gradients):
            optimizer.param_groups[0]["lr"] = learning_rate(step)
            weight.grad = torch.tensor(gradient)
            optimizer.step()
        return weight.detach().numpy() - self.start

    def update_of_keras(self, cls, epsilon):
        layer = Weight()
        model = keras.Sequential([keras.Input(self.start.shape), layer])
        layer.set_weights([self.start])
        model.compile(
            make_optimizer(cls, epsilon), loss=lambda y_true, y_pred: y_pred
        )
        model.fit(
            self.gradients,
            np.zeros(NUM_STEPS),
            batch_size=1,
            shuffle=False,
            verbose=0,
        )
        return self.to_numpy(layer.weight) - self.start

    def check_rows(self, item, ours, tolerances):
        for size, our_row, their_row, tolerance in zip(
            self.SIZES, ours, self.theirs, tolerances
        ):
            name = f"{item}, gradients of {size:.0e}"
            check(f"{name}: update", our_row, their_row, tolerance, PEER)
            print(f"{name} {relative_difference(our_row, their_row):.2e}")

    def test_x(self):
        T = np.ones(10)
        self.check_rows(
            "placed", self.update_of_keras(TorchPlacedAdamW, 1e-8), T
        )
        self.check_rows(
            "K8", self.update_of_keras(keras.optimizers.AdamW, 1e-8), T
        )
        self.check_rows(
            "K7", self.update_of_keras(keras.optimizers.AdamW, 1e-7), T
        )


class TrainingTest(TestCase):
    def train(self, cls, epsilon, noise=0.0):
        """Returns the loss of every step, and the weights in the end."""
        keras.utils.set_random_seed(0)
        model = keras_mim.MAE(
            keras_mim.encoders.ViT((32, 32, 3), 8, 32, 2, 2, 64),
            masking=keras_mim.masking.RandomMasking(0.75),
            head=layers.MAEHead(hidden_dim=32, num_layers=1, num_heads=2),
        )
        for w in model.trainable_weights:
            w.assign(
                w * (1 + noise * np.random.default_rng(1).normal(size=w.shape))
            )
        optimizer = make_optimizer(cls, epsilon)
        optimizer.exclude_from_weight_decay(
            [w for w in model.trainable_weights if len(w.shape) < 2]
        )
        model.compile(optimizer)
        images = clothing(128)[:, ::2, ::2]
        rng = np.random.default_rng(0)
        masked = np.tile(np.arange(16) < 12, (32, 1))
        losses = []
        for _ in range(NUM_STEPS):
            inputs = {
                "images": images[rng.permutation(128)[:32]],
                "masked": rng.permuted(masked, axis=1),
            }
            model.reset_metrics()
            losses.append(model.train_on_batch(inputs))
        self.names = [w.path for w in model.trainable_weights]
        return np.array(losses), [
            self.to_numpy(w) for w in model.trainable_weights
        ]

    def test_y(self):
        import time

        t = time.time()
        base, wb = self.train(TorchPlacedAdamW, 1e-8)
        print("time", time.time() - t, base[[0, 1, 2, 98, 99]])
        for name, args in dict(
            keras8=(keras.optimizers.AdamW, 1e-8),
            keras7=(keras.optimizers.AdamW, 1e-7),
            noise7=(TorchPlacedAdamW, 1e-8, 1e-7),
            torch7=(TorchPlacedAdamW, 1e-7),
        ).items():
            t = time.time()
            l, w = self.train(*args)
            d = [relative_difference(a, b) for a, b in zip(w, wb)]
            n = np.sqrt(
                sum(((a - b) ** 2).sum() for a, b in zip(w, wb))
                / sum((b**2).sum() for b in wb)
            )
            print(
                name,
                f"loss {np.abs(l / base - 1).max():.2e} weights max {max(d):.2e} norm {n:.2e} {time.time() - t:.1f}s",
            )
            for k in np.argsort(d)[::-1][:4]:
                print(
                    "    ",
                    self.names[k],
                    f"{d[k]:.1e}",
                    np.abs(wb[k]).max(),
                    np.abs(w[k] - wb[k]).max(),
                )
            x = [
                k
                for k in range(len(d))
                if self.names[k].endswith("query_key_value/bias")
            ]
            for k in x:
                print(
                    "    ",
                    self.names[k],
                    [
                        f"{np.abs(y).max():.1e}"
                        for y in np.split(w[k] - wb[k], 3)
                    ],
                )
