"""The Swin encoder against transformers' and timm's: same weights."""

import keras
import numpy as np
import pytest

from keras_mim import encoders
from keras_mim.converters import swin_layout
from tests.parity.peers import randomise
from tests.parity.record import check
from tests.test_case import TestCase

torch = pytest.importorskip("torch")

HF = "transformers SwinModel"
TIMM = "timm SwinTransformer"
SMALL = {"depths": (2, 2), "num_heads": (2, 4)}


def make_hf(image_shape, window_size, depths, num_heads):
    transformers = pytest.importorskip("transformers")
    return randomise(
        transformers.SwinModel(
            transformers.SwinConfig(
                image_size=image_shape[:2],
                num_channels=image_shape[2],
                embed_dim=16,
                depths=depths,
                num_heads=num_heads,
                window_size=window_size,
                layer_norm_eps=1e-5,
            ),
            add_pooling_layer=False,
        )
    ).eval()


def make_timm(image_shape, window_size, depths, num_heads):
    # torchvision, which timm imports, may be there and not import.
    pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))
    from timm.models.swin_transformer import SwinTransformer

    return randomise(
        SwinTransformer(
            img_size=image_shape[:2],
            in_chans=image_shape[2],
            num_classes=0,
            embed_dim=16,
            depths=depths,
            num_heads=num_heads,
            window_size=window_size,
        )
    ).eval()


def hf_tokens(peer, images):
    return peer(torch.tensor(images.transpose(0, 3, 1, 2))).last_hidden_state


def timm_tokens(peer, images):
    pixels = torch.tensor(images.transpose(0, 3, 1, 2))
    return peer.forward_features(pixels).flatten(1, 2)


def hf_entries(encoder):
    return swin_layout.hf_swin_entries(swin_layout.swin_entries(encoder))


def timm_entries(encoder):
    return swin_layout.timm_swin_entries(swin_layout.swin_entries(encoder))


def fill(entries, arrays):
    """Puts arrays into an encoder, by name, all of them and no others."""
    assert set(entries) == set(arrays), set(entries) ^ set(arrays)
    for name, entry in entries.items():
        assert arrays[name].shape == entry.shape, name
        value = np.array(keras.ops.convert_to_numpy(entry.variable))
        value[..., entry.where] = entry.to_keras(arrays[name])
        entry.variable.assign(value)


def gradients(encoder, images, weight):
    """Returns the gradients of `sum(weight * tokens)`, by variable path."""
    backend = keras.backend.backend()
    variables = encoder.trainable_variables
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(encoder(images, training=True) * weight)
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
            return (tokens * weight).sum()

        found = jax.jit(jax.grad(loss_of))([v.value for v in variables])
    else:
        encoder.zero_grad()
        tokens = encoder(images, training=True)
        (tokens * torch.tensor(weight)).sum().backward()
        found = [v.value.grad for v in variables]
    return {
        v.path: np.array(keras.ops.convert_to_numpy(g))
        for v, g in zip(variables, found, strict=True)
    }


class SwinTest(TestCase):
    def compare(self, peer, tokens_of, entries, arrays, image_shape, config):
        """Compares tokens and gradients; returns our encoder."""
        encoder = encoders.Swin(image_shape, hidden_dim=16, **config)
        fill(entries(encoder), arrays)
        rng = np.random.default_rng(1)
        images = rng.normal(size=(2, *image_shape)).astype("float32")
        theirs = tokens_of(peer, images)
        peer_name, suffix = (
            (HF, "") if tokens_of is hf_tokens else (TIMM, ", timm")
        )
        expected = theirs.detach().numpy()
        check(
            f"Swin tokens{suffix}",
            # Compiled: op by op, JAX takes half a minute.
            encoder.predict(images, verbose=0),
            expected,
            1e-5,
            peer_name,
        )
        weight = rng.normal(size=expected.shape).astype("float32")
        (theirs * torch.tensor(weight)).sum().backward()
        wanted = {k: p.grad.numpy() for k, p in peer.named_parameters()}
        if tokens_of is hf_tokens:
            wanted = swin_layout.hf_swin_arrays(wanted)
        found = gradients(encoder, images, weight)
        for name, entry in entries(encoder).items():
            gradient = entry.to_checkpoint(found[entry.variable.path])
            if name.endswith("key.bias"):
                # Zero but for rounding: a softmax ignores what its logits
                # have in common.
                scale = np.abs(wanted[name.replace("key", "query")]).max()
                self.assertLess(np.abs(gradient).max(), 1e-4 * scale)
                continue
            item = f"Swin gradients{suffix}"
            check(item, gradient, wanted[name], 1e-4, peer_name)
        return encoder

    def test_transformers(self):
        for image_shape, window_size, config in (
            # Square. The last stage's map is one window: no shift there.
            ((32, 32, 3), 4, SMALL),
            # Windows and merging pad: 11 x 9 tokens, 6 x 5, and 3 x 3 with
            # the window as large as the map again.
            (
                (44, 36, 5),
                3,
                {"depths": (3, 1, 2), "num_heads": (1, 2, 4)},
            ),
        ):
            with self.subTest(image_shape=image_shape):
                peer = make_hf(image_shape, window_size, **config)
                from safetensors.numpy import load_file

                folder = self.temp_dir()
                peer.save_pretrained(folder)
                arrays = swin_layout.hf_swin_arrays(
                    load_file(folder / "model.safetensors")
                )
                self.compare(
                    peer,
                    hf_tokens,
                    hf_entries,
                    arrays,
                    image_shape,
                    {**config, "window_size": window_size},
                )
                # Version 5 has other names in memory than in files.
                in_memory = swin_layout.hf_swin_arrays(peer.state_dict())
                self.assertEqual(set(in_memory), set(arrays))

    def test_timm(self):
        for image_shape, window_size in (
            # The window is larger than the last stage's map of 4 x 4, so
            # its tables are smaller too.
            ((32, 32, 3), 8),
            # Not square; timm rolls before it pads, we and transformers
            # after, so windows divide all maps.
            ((32, 64, 1), 2),
        ):
            with self.subTest(image_shape=image_shape):
                peer = make_timm(image_shape, window_size, **SMALL)
                arrays = {k: v.numpy() for k, v in peer.state_dict().items()}
                self.compare(
                    peer,
                    timm_tokens,
                    timm_entries,
                    arrays,
                    image_shape,
                    {**SMALL, "window_size": window_size},
                )

    def test_feature_maps(self):
        peer = make_hf((28, 40, 3), 3, **SMALL)
        config = {**SMALL, "window_size": 3, "hidden_dim": 16}
        encoder = encoders.Swin((28, 40, 3), **config)
        arrays = {k: v.numpy() for k, v in peer.state_dict().items()}
        fill(hf_entries(encoder), swin_layout.hf_swin_arrays(arrays))
        images = np.random.rand(2, 28, 40, 3).astype("float32")
        with torch.no_grad():
            expected = peer(
                torch.tensor(images.transpose(0, 3, 1, 2)),
                output_hidden_states=True,
                output_hidden_states_before_downsampling=True,
            ).reshaped_hidden_states[1:]
        maps = encoder.feature_maps(encoder.input, layers=(0, 1))
        model = keras.Model(encoder.input, maps)
        found = model.predict(images, verbose=0)
        for ours, theirs in zip(found, expected, strict=True):
            theirs = theirs.numpy().transpose(0, 2, 3, 1)
            check("Swin feature maps", ours, theirs, 1e-5, HF)
