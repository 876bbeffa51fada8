"""MAE's linear probe against the same in torch: batch norm, layer, LARS."""

import keras
import numpy as np
import pytest

from keras_mim.optimizers import LARS
from keras_mim.transfer import LinearProbe
from tests import tiny
from tests.parity.record import check
from tests.test_case import TestCase

torch = pytest.importorskip("torch")

PEER = "torch, written after the paper's code"
STEPS, BATCH_SIZE, DIM, NUM_CLASSES = 20, 32, 8, 3


class PeerLARS(torch.optim.Optimizer):
    def __init__(self, parameters, lr, weight_decay):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                change = parameter.grad
                if parameter.ndim > 1:
                    change = change + group["weight_decay"] * parameter
                    length = torch.linalg.norm(change)
                    if length > 0 and torch.linalg.norm(parameter) > 0:
                        ratio = torch.linalg.norm(parameter) / length
                        change = 0.001 * ratio * change
                state = self.state[parameter]
                state["momentum"] = 0.9 * state.get("momentum", 0) + change
                parameter -= group["lr"] * state["momentum"]


class LinearProbeParityTest(TestCase):
    def test_twenty_steps_of_lars(self):
        rng = np.random.default_rng(0)
        shapes = (DIM, NUM_CLASSES), (NUM_CLASSES,)
        first = [rng.normal(size=s).astype("float32") for s in shapes]
        variables = [keras.Variable(value) for value in first]
        peers = [torch.nn.Parameter(torch.tensor(value)) for value in first]
        rate, decay = 0.5, 1e-3
        optimizer = LARS(rate, decay)
        peer = PeerLARS(peers, rate, decay)
        for _ in range(STEPS):
            gradients = [rng.normal(size=s).astype("float32") for s in shapes]
            for parameter, gradient in zip(peers, gradients):
                parameter.grad = torch.tensor(gradient)
            peer.step()
            optimizer.apply(
                [keras.ops.convert_to_tensor(g) for g in gradients], variables
            )
        for ours, theirs, value in zip(variables, peers, first, strict=True):
            theirs = theirs.detach().numpy()
            self.assertGreater(np.abs(theirs - value).max(), 1e-3)
            ours = self.to_numpy(ours)
            check("LARS, weights after 20 steps", ours, theirs, 1e-6, PEER)

    def test_twenty_steps_of_a_probe(self):
        rng = np.random.default_rng(0)
        shape = STEPS, BATCH_SIZE, DIM
        # Features of unlike scales, which the batch norm is there for.
        scales = np.logspace(-1, 1, DIM)
        features = (rng.normal(size=shape) * scales + 1).astype("float32")
        labels = rng.integers(0, NUM_CLASSES, size=shape[:2])
        encoder = tiny.vit((8, 8, 3), hidden_dim=DIM)
        head = LinearProbe(encoder, NUM_CLASSES).head
        peer = torch.nn.Sequential(
            torch.nn.BatchNorm1d(DIM, affine=False, eps=1e-6),
            torch.nn.Linear(DIM, NUM_CLASSES),
        )
        kernel, bias = (self.to_numpy(w).copy() for w in head.trainable_weights)
        with torch.no_grad():
            peer[1].weight.copy_(torch.tensor(kernel.T))
            peer[1].bias.copy_(torch.tensor(bias))
        decay = 1e-3
        optimizer = PeerLARS(peer.parameters(), 6.4, decay)
        head.compile(
            LARS(6.4, decay),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        head.fit(
            features.reshape(-1, DIM),
            labels.reshape(-1),
            batch_size=BATCH_SIZE,
            shuffle=False,
            verbose=0,
        )
        for x, y in zip(features, labels, strict=True):
            optimizer.zero_grad()
            logits = peer(torch.tensor(x))
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(y))
            loss.backward()
            optimizer.step()
        found = [self.to_numpy(w) for w in head.trainable_weights]
        expected = [
            w.detach().numpy() for w in (peer[1].weight.T, peer[1].bias)
        ]
        for ours, theirs, first in zip(found, expected, (kernel, bias)):
            self.assertGreater(np.abs(theirs - first).max(), 1e-3)
            check(
                "linear probe, weights after 20 steps", ours, theirs, 1e-5, PEER
            )
        moments = [self.to_numpy(w) for w in head.non_trainable_weights]
        # Keras's variance is the population's.
        own = [peer[0].running_mean, peer[0].running_var]
        check("linear probe, mean", moments[0], own[0].numpy(), 1e-5, PEER)
        left = 0.9**STEPS
        share = (BATCH_SIZE - 1) / BATCH_SIZE
        variance = left + (own[1].numpy() - left) * share
        check("linear probe, variance", moments[1], variance, 1e-5, PEER)
