"""What the comparisons of both Swins with their peers share."""

import keras
import numpy as np

from keras_mim.converters._checkpoint import Checkpoint
from keras_mim.converters.layouts import layout_of
from tests.parity.record import check
from tests.test_case import TestCase


def pixels(images):
    import torch

    return torch.tensor(images.transpose(0, 3, 1, 2))


def hf_tokens(peer, images):
    return peer(pixels(images)).last_hidden_state


def timm_tokens(peer, images):
    return peer.forward_features(pixels(images)).flatten(1, 2)


def hf_entries(model):
    return layout_of(model, "hf").entries(model)


def timm_entries(model):
    return layout_of(model, "timm").entries(model)


def hf_arrays(model, arrays):
    """Returns a peer's arrays by the names in its published files."""
    checkpoint = Checkpoint("the peer", arrays)
    return layout_of(model, "hf").read(checkpoint).arrays


def fill(entries, arrays):
    """Puts arrays into an encoder, by name, all of them and no others."""
    assert set(entries) == set(arrays), set(entries) ^ set(arrays)
    for name, entry in entries.items():
        assert arrays[name].shape == entry.shape, name
        value = np.array(keras.ops.convert_to_numpy(entry.variable))
        value[..., entry.where] = entry.to_keras(arrays[name])
        entry.variable.assign(value)


def tokens_and_gradients(encoder, images, weight):
    """Returns tokens, and gradients of `sum(weight * tokens)` by variable."""
    backend = keras.backend.backend()
    variables = encoder.trainable_variables
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tokens = encoder(images, training=True)
            loss = tf.reduce_sum(tokens * weight)
        found = tape.gradient(loss, [v.value for v in variables])
    elif backend == "jax":
        import jax

        def loss_of(trainable):
            tokens, _ = encoder.stateless_call(
                trainable,
                [v.value for v in encoder.non_trainable_variables],
                images,
                training=True,
            )
            return (tokens * weight).sum(), tokens

        # Compiled as a whole: op by op takes half a minute.
        function = jax.jit(jax.grad(loss_of, has_aux=True))
        found, tokens = function([v.value for v in variables])
    else:
        import torch

        encoder.zero_grad()
        tokens = encoder(images, training=True)
        (tokens * torch.tensor(weight)).sum().backward()
        found = [v.value.grad for v in variables]
    by_path = {
        v.path: np.array(keras.ops.convert_to_numpy(g))
        for v, g in zip(variables, found, strict=True)
    }
    return keras.ops.convert_to_numpy(tokens), by_path


class SwinComparison(TestCase):
    # The rows of the parity table start with it; the peers' names by what
    # gives their tokens.
    row = ""
    peers = {}

    def compare(self, peer, tokens_of, entries, arrays, encoder):
        """Fills an encoder; compares tokens and gradients with the peer's."""
        import torch

        fill(entries(encoder), arrays)
        rng = np.random.default_rng(1)
        image_shape = encoder.image_shape
        images = rng.normal(size=(2, *image_shape)).astype("float32")
        theirs = tokens_of(peer, images)
        peer_name = self.peers[tokens_of]
        suffix = ", timm" if tokens_of is timm_tokens else ""
        expected = theirs.detach().numpy()
        weight = rng.normal(size=expected.shape).astype("float32")
        tokens, found = tokens_and_gradients(encoder, images, weight)
        item = f"{self.row} tokens{suffix}"
        check(item, tokens, expected, 1e-5, peer_name)
        (theirs * torch.tensor(weight)).sum().backward()
        wanted = {k: p.grad.numpy() for k, p in peer.named_parameters()}
        if tokens_of is hf_tokens:
            wanted = hf_arrays(encoder, wanted)
        for name, entry in entries(encoder).items():
            gradient = entry.to_checkpoint(found[entry.variable.path])
            if name.endswith("key.bias"):
                # Zero but for rounding: a softmax ignores what its logits
                # have in common.
                scale = np.abs(wanted[name.replace("key", "query")]).max()
                self.assertLess(np.abs(gradient).max(), 1e-4 * scale)
                continue
            item = f"{self.row} gradients{suffix}"
            check(item, gradient, wanted[name], 1e-4, peer_name)
