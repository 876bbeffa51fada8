"""What a folder's configuration says, and its weights do not show."""

import argparse
import json
import warnings

import numpy as np
import pytest

import keras_mim
from keras_mim import converters
from keras_mim.converters._checkpoint import Checkpoint
from keras_mim.converters._configuration import normalization_of
from tests import tiny
from tests.converters import published
from tests.test_case import TestCase

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.numpy")


class ConfigurationTest(TestCase):
    def folder(self, model, config, preprocessor=None, layout="hf"):
        """Writes a folder as transformers and timm do."""
        folder = self.temp_dir()
        state = converters.to_torch_state_dict(model, layout)
        arrays = {k: v.numpy() for k, v in state.items()}
        safetensors.save_file(arrays, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(config))
        if preprocessor is not None:
            text = json.dumps(preprocessor)
            (folder / "preprocessor_config.json").write_text(text)
        return folder

    def assert_refused(self, model, config, name, layout="hf"):
        before = [self.to_numpy(w).copy() for w in model.weights]
        folder = self.folder(model, config, layout=layout)
        message = f"{name}={config[name]!r}.*pass the file of the weights"
        load = {"hf": converters.load_hf_vit, "swin": converters.load_swin}
        load = load.get(layout, converters.load_timm_vit)
        hints = {"num_heads": 2, "grid": model.encoder.grid}
        for call in (
            lambda: load(model, folder),
            lambda: converters.from_checkpoint(folder, **hints),
        ):
            with self.assertRaisesRegex(ValueError, message):
                call()
        for weight, old in zip(model.weights, before):
            self.assertAllEqual(weight, old)
        # The way out that the message names.
        load(model, folder / "model.safetensors")

    def test_what_no_encoder_computes_is_refused(self):
        # As SimMIM: its head is no matter, and it is loaded whole.
        encoder = tiny.vit((8, 8, 3), positions="learned")
        model = keras_mim.SimMIM(encoder, keras_mim.masking.RandomMasking(0.5))
        for name, value in (
            ("hidden_act", "relu"),
            ("hidden_act", "quick_gelu"),
            ("hidden_act", "gelu_pytorch_tanh"),
            ("layer_norm_eps", 1e-3),
            ("num_attention_heads", 4),
            ("model_type", "deit"),
        ):
            if name == "num_attention_heads":
                folder = self.folder(model, {name: value})
                with self.assertRaisesRegex(ValueError, f"{name}={value}"):
                    converters.load_hf_vit(model, folder)
                continue
            self.assert_refused(model, {name: value}, name)

    def test_what_the_encoder_computes_is_taken(self):
        config = {
            "model_type": "vit",
            "hidden_act": "gelu_python",
            "layer_norm_eps": 1e-12,
            "num_attention_heads": 2,
            "image_size": [8, 12],
        }
        encoder = tiny.vit()
        folder = self.folder(encoder, config)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            again = converters.from_checkpoint(folder)
            converters.load_hf_vit(encoder, folder)
        self.assertEqual(again.num_heads, 2)

    def test_timms_models_of_other_functions(self):
        encoder = tiny.vit(positions="learned")
        model = keras_mim.transfer.Classifier(encoder, 3, pooling="cls")
        for name, value in (
            ("architecture", "vit_base_patch32_siglip_gap_256"),
            ("architecture", "vit_base_patch16_rope_ape_224"),
            ("global_pool", "avg"),
            ("qk_scale", 0.5),
        ):
            folder = self.folder(model, {name: value}, layout="timm")
            with self.assertRaisesRegex(ValueError, f"{name}={value!r}"):
                converters.load_timm_vit(model, folder)
        config = {
            "architecture": "vit_tiny_patch16_224",
            "model_args": {"act_layer": "quick_gelu", "num_heads": 2},
        }
        folder = self.folder(encoder, config, layout="timm")
        with self.assertRaisesRegex(ValueError, "act_layer='quick_gelu'"):
            converters.from_checkpoint(folder, grid=(2, 3))
        del config["model_args"]["act_layer"]
        folder = self.folder(encoder, config, layout="timm")
        again = converters.from_checkpoint(folder, grid=(2, 3))
        self.assertEqual(again.num_heads, 2)

    def test_image_statistics_become_the_normalization(self):
        encoder = tiny.vit()
        half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        config = {"num_attention_heads": 2, "image_size": [8, 12]}
        folder = self.folder(encoder, config, half)
        again = converters.from_checkpoint(folder)
        expected = keras_mim.Normalization((0.5,) * 3, (0.5,) * 3)
        self.assertEqual(again.normalization, expected)
        with self.assertWarnsRegex(UserWarning, r"mean=\(0.5, 0.5, 0.5\)"):
            converters.load_hf_vit(encoder, folder)
        self.assertNotEqual(encoder.normalization, expected)
        # Statistics of three channels say nothing of five.
        other = converters.from_checkpoint(folder, (8, 12, 5))
        self.assertEqual(other.normalization.channels, 5)

    def test_statistics_in_every_form(self):
        # Oracle: what the image processor computes, of pixels in [0, 255].
        pixels = np.array([[0.0, 100.0, 255.0]], "float32")
        mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
        stats = {"image_mean": mean, "image_std": std}
        for preprocessor, expected in (
            (stats, (pixels / 255 - mean) / std),
            (
                {**stats, "rescale_factor": 1 / 127.5},
                (pixels / 127.5 - mean) / std,
            ),
            ({**stats, "do_rescale": False}, (pixels - mean) / std),
            ({**stats, "do_normalize": False}, pixels / 255),
        ):
            checkpoint = Checkpoint("a folder", {}, {}, preprocessor)
            found = normalization_of(checkpoint, 3).normalize(pixels / 255)
            # Float32, and values of up to 600.
            self.assertAllClose(found, expected, rtol=1e-5)
        config = {"pretrained_cfg": {"mean": mean, "std": std}}
        checkpoint = Checkpoint("a folder", {}, config)
        expected = keras_mim.Normalization(mean, std)
        self.assertEqual(normalization_of(checkpoint, 3), expected)
        self.assertIsNone(normalization_of(checkpoint, 1))
        self.assertIsNone(normalization_of(Checkpoint("a file", {}), 3))

    def test_what_matters_in_training_alone_is_warned_of(self):
        encoder = tiny.vit()
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            folder = self.folder(encoder, {name: 0.1})
            with self.assertWarnsRegex(UserWarning, f"{name}=0.1: outputs"):
                converters.load_hf_vit(encoder, folder)

    def test_swin(self):
        encoder = tiny.swin()
        config = {
            "model_type": "swin",
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-5,
            "image_size": [8, 12],
            "drop_path_rate": 0.1,
        }
        again = converters.from_checkpoint(self.folder(encoder, config))
        self.assertEqual(again.drop_path_rate, 0.1)
        model = tiny.simmim(encoder)
        for name, value in (("hidden_act", "relu"), ("layer_norm_eps", 1e-6)):
            folder = self.folder(model, {**config, name: value})
            with self.assertRaisesRegex(ValueError, f"{name}={value!r}"):
                converters.load_swin(model, folder)

    def test_windows_that_a_swin_v2_was_trained_with(self):
        config = {
            "model_type": "swinv2",
            "image_size": 16,
            "patch_size": 2,
            "window_size": 4,
        }
        folder = self.folder(tiny.swin_v2((16, 16, 3), window_size=4), config)
        other = tiny.swin_v2((16, 16, 3), window_size=2)
        with self.assertRaisesRegex(ValueError, r"sizes=\(4, 4\). Received"):
            converters.load_swin(other, folder)
        right = tiny.swin_v2(
            (16, 16, 3), window_size=2, pretrained_window_sizes=(4, 4)
        )
        self.assertEqual(converters.load_swin(right, folder).unused, ())

    def test_options_of_training_scripts(self):
        options = argparse.Namespace(norm_pix_loss=False, lr=0.1)
        path = self.temp_dir() / "checkpoint-799.pth"
        arrays = published.tiny(decoder=True)
        tensors = {k: torch.tensor(v) for k, v in arrays.items()}
        best = np.float64(0.5)  # As scripts that keep the best loss save it.
        torch.save({"model": tensors, "args": options, "loss": best}, path)
        heads = {"num_heads": 4, "decoder_num_heads": 2}
        mae = converters.from_checkpoint(path, **heads)
        self.assertFalse(mae.target.normalize)
        mae = converters.from_checkpoint(path, normalize=True, **heads)
        with self.assertWarnsRegex(UserWarning, r"PixelTarget\(normalize=Fal"):
            converters.load_mae(mae, path)
        # SimMIM's: a Swin's arrays do not tell the image.
        state = converters.to_torch_state_dict(tiny.swin((8, 8, 3)), "swin")
        torch.save({"model": state, "config": {"DATA": {"IMG_SIZE": 8}}}, path)
        swin = converters.from_checkpoint(path)
        self.assertEqual(swin.image_shape, (8, 8, 3))
        scaled = {"MODEL": {"SWIN": {"QK_SCALE": 0.5}}}
        torch.save({"model": state, "config": scaled}, path)
        with self.assertRaisesRegex(ValueError, "qk_scale=0.5"):
            converters.from_checkpoint(path, (8, 8, 3))
