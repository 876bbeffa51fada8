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


class GivenGradientsTest(TestCase):
    SIZES = 10.0 ** np.array([0, -2, -4, -5, -6, -7, -8, -9])

    def setUp(self):
        super().setUp()
        self.torch = pytest.importorskip("torch")
        rng = np.random.default_rng(0)
        self.start = rng.normal(scale=0.02, size=(len(self.SIZES), 8, 12))
        self.start = self.start.astype("float32")
        self.gradients = rng.normal(size=(NUM_STEPS, *self.start.shape))
        self.gradients *= self.SIZES[:, None, None]
        self.gradients = self.gradients.astype("float32")

    def run_torch(self):
        weights = [
            self.torch.nn.Parameter(self.torch.tensor(w)) for w in self.start
        ]
        optimizer = self.torch.optim.AdamW(
            weights,
            betas=(BETA_1, BETA_2),
            eps=EPSILON,
            weight_decay=WEIGHT_DECAY,
        )
        for step, gradients in enumerate(self.gradients):
            optimizer.param_groups[0]["lr"] = learning_rate(step)
            for weight, gradient in zip(weights, gradients):
                weight.grad = self.torch.tensor(gradient)
            optimizer.step()
        return np.stack([w.detach().numpy() for w in weights])

    def run_keras(self, cls, epsilon):
        weights = [keras.Variable(w) for w in self.start]
        optimizer = make_optimizer(cls, epsilon)
        for gradients in self.gradients:
            optimizer.apply(
                [keras.ops.convert_to_tensor(g) for g in gradients], weights
            )
        return np.stack([self.to_numpy(w) for w in weights])

    def test_x(self):
        theirs = self.run_torch()
        for cls, eps in (
            (TorchPlacedAdamW, 1e-8),
            (keras.optimizers.AdamW, 1e-8),
            (keras.optimizers.AdamW, 1e-7),
        ):
            ours = self.run_keras(cls, eps)
            for i, s in enumerate(self.SIZES):
                print(
                    cls.__name__,
                    eps,
                    f"{s:.0e} weights {relative_difference(ours[i], theirs[i]):.2e} update {relative_difference(ours[i] - self.start[i], theirs[i] - self.start[i]):.2e}",
                )


class TrainingTest(TestCase):
    def train(self, cls, epsilon, noise=0.0, seed=0):
        keras.utils.set_random_seed(0)
        model = keras_mim.MAE(
            keras_mim.encoders.ViT((32, 32, 3), 8, 32, 2, 2, 64),
            masking=keras_mim.masking.RandomMasking(0.75),
            head=layers.MAEHead(hidden_dim=32, num_layers=1, num_heads=2),
        )
        rng = np.random.default_rng(0)
        for w in model.trainable_weights:
            a = (
                rng.normal(scale=0.02, size=w.shape)
                + ("gamma" in w.path)
                + ("kernel" in w.path)
                * rng.normal(size=w.shape)
                * w.shape[0] ** -0.5
            )
            a = a * (1 + noise * np.random.default_rng(1).normal(size=w.shape))
            w.assign(a)
        images = clothing(128)[:, ::2, ::2]
        optimizer = make_optimizer(cls, epsilon)
        optimizer.exclude_from_weight_decay(
            [w for w in model.trainable_weights if len(w.shape) < 2]
        )
        model.compile(optimizer)
        losses = []
        rng = np.random.default_rng(seed)
        masked = np.tile(np.arange(16) < 12, (32, 1))
        for step in range(NUM_STEPS):
            batch = images[rng.permutation(128)[:32]]
            model.reset_metrics()
            losses.append(
                model.train_on_batch(
                    {"images": batch, "masked": rng.permuted(masked, axis=1)}
                )
            )
        v = [self.to_numpy(v) / (1 - 0.95**100) for v in optimizer._velocities]
        v = np.sqrt(np.concatenate([x.ravel() for x in v]))
        return (
            np.array(losses),
            [self.to_numpy(w) for w in model.trainable_weights],
            v,
        )

    def test_y(self):
        import time

        t = time.time()
        base, wb, v = self.train(TorchPlacedAdamW, 1e-8)
        print("time", time.time() - t)
        print(
            "losses",
            base[:3],
            base[-3:],
            "v quantiles",
            np.quantile(v, [0, 0.001, 0.01, 0.1, 0.5, 0.9]),
        )
        for name, args in dict(
            keras8=(keras.optimizers.AdamW, 1e-8),
            keras7=(keras.optimizers.AdamW, 1e-7),
            noise7=(TorchPlacedAdamW, 1e-8, 1e-7),
            torch7=(TorchPlacedAdamW, 1e-7),
            again=(TorchPlacedAdamW, 1e-8),
            otherdata=(TorchPlacedAdamW, 1e-8, 0.0, 1),
        ).items():
            t = time.time()
            l, w, _ = self.train(*args)
            d = [relative_difference(a, b) for a, b in zip(w, wb)]
            n = np.sqrt(
                sum(((a - b) ** 2).sum() for a, b in zip(w, wb))
                / sum((b**2).sum() for b in wb)
            )
            print(
                name,
                f"loss {np.abs(l / base - 1).max():.2e} weights max {max(d):.2e} norm {n:.2e} {time.time() - t:.1f}s",
            )
