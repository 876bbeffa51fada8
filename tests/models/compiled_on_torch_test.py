"""`compile(jit_compile=True)` on torch: the same numbers, from few programs."""

import functools
from unittest import mock

import keras
import numpy as np
import pytest

from keras_mim.layers import MAEHead
from keras_mim.masking import RandomMasking
from keras_mim.optimizers import LayerwiseAdamW
from keras_mim.targets import EMATarget
from keras_mim.transfer import Classifier
from keras_mim.transfer import LinearProbe
from keras_mim.transfer import layer_scales
from tests import tiny
from tests.test_case import TestCase

IMAGES = tiny.images(5)
LABELS = np.array([0, 2, 1, 1, 0])


@pytest.mark.torch_only
class CompiledOnTorchTest(TestCase):
    def setUp(self):
        super().setUp()
        import torch

        # A generated kernel takes a C++ compiler a minute: here the programs
        # are made and run, with torch's own kernels.
        torch._dynamo.reset()
        self.programs = []

        def backend(program, inputs):
            self.programs.append(program)
            return aot(program, inputs)

        aot = torch._dynamo.lookup_backend("aot_eager")
        compiler = functools.partial(torch.compile, backend=backend)
        patch = mock.patch("torch.compile", compiler)
        patch.start()
        self.addCleanup(patch.stop)

    def train(self, make, data, compile_arguments, jit_compile):
        keras.utils.set_random_seed(0)
        model = make()
        model.compile(**compile_arguments(model), jit_compile=jit_compile)
        history = model.fit(
            *data, batch_size=2, epochs=2, shuffle=False, verbose=0
        )
        return model, history.history

    def run_comparison(self, make, data=(IMAGES[:4],), arguments=None):
        from torch._dynamo.utils import counters

        counters.clear()
        arguments = arguments or (
            lambda _: {"optimizer": keras.optimizers.AdamW(1e-3, 0.05)}
        )
        eager, expected = self.train(make, data, arguments, False)
        self.assertEqual(len(self.programs), 0)
        compiled, found = self.train(make, data, arguments, True)
        # One for each size of a batch, whole.
        sizes = 1 + len(data[0]) % 2
        self.assertEqual(len(self.programs), sizes)
        self.assertFalse(counters["graph_break"])
        self.assertEqual(found.keys(), expected.keys())
        for name, values in expected.items():
            # Float32, in another order of operations.
            self.assertAllClose(found[name], values, 1e-5, 1e-6)
        for a, b in zip(compiled.variables, eager.variables, strict=True):
            self.assertAllClose(a, b, 1e-4, 1e-5)
        return compiled

    def test_mae_with_drop_path_and_metrics(self):
        def arguments(_):
            return {
                "optimizer": keras.optimizers.AdamW(
                    keras.optimizers.schedules.CosineDecay(1e-3, 6), 0.05
                ),
                "weighted_metrics": [keras.metrics.MeanAbsoluteError("mae")],
            }

        encoder = functools.partial(tiny.vit, drop_path_rate=0.4, num_layers=2)
        model = self.run_comparison(
            lambda: tiny.mae(encoder()), (IMAGES,), arguments
        )
        path = self.temp_dir() / "mae.keras"
        model.save(path)
        self.assertTrue(model.get_compile_config()["jit_compile"])
        again = keras.models.load_model(path)
        loss = again.train_on_batch(IMAGES[:2])
        self.assertAllClose(loss, model.train_on_batch(IMAGES[:2]), 1e-5)

    def test_simmim_with_a_swin_rematerialised(self):
        self.run_comparison(lambda: tiny.simmim(tiny.swin(remat=True)))

    def test_a_moving_teacher(self):
        def make():
            target = EMATarget(num_layers=1, momentum=0.5)
            return tiny.mae(head=MAEHead(16, 1, 2), target=target)

        self.run_comparison(make)

    def test_a_classifier_of_bytes_with_layer_decay(self):
        pixels = np.random.default_rng(0).integers(0, 256, IMAGES.shape)

        def make():
            return Classifier(tiny.vit(), 3, drop_path_rate=0.2)

        def arguments(model):
            return {
                "optimizer": LayerwiseAdamW(
                    learning_rate_scales=layer_scales(model, 0.7),
                    clipnorm=0.5,
                ),
                "loss": "sparse_categorical_crossentropy",
                "metrics": ["accuracy"],
            }

        data = (pixels.astype("uint8")[:4], LABELS[:4])
        self.run_comparison(make, data, arguments)

    def test_a_probe(self):
        def arguments(_):
            return {"optimizer": "sgd", "loss": "mse"}

        data = (IMAGES[:4], tiny.normal(4, 3))
        self.run_comparison(lambda: LinearProbe(tiny.vit(), 3), data, arguments)

    def test_optimizers_that_look_at_values(self):
        for make in (
            lambda: keras.optimizers.AdamW(1e-3, gradient_accumulation_steps=2),
            lambda: keras.optimizers.AdamW(1e-3, use_ema=True),
            lambda: keras.optimizers.LossScaleOptimizer(
                keras.optimizers.AdamW(1e-3), 1024.0
            ),
        ):
            with self.subTest(str(make)):
                self.programs.clear()
                self.run_comparison(
                    tiny.simmim, arguments=lambda _: {"optimizer": make()}
                )

    def test_what_torch_cannot_take_down(self):
        class Masking(RandomMasking):
            def call(self, images):
                keras.random.uniform((2,), seed=self.seed_generator)
                return super().call(images)

        model = tiny.mae(masking=Masking(0.6))
        model.compile("sgd", jit_compile=True)
        with self.assertRaisesRegex(ValueError, "jit_compile=False"):
            model.train_on_batch(IMAGES)

    def test_several_steps_at_once_are_refused_as_keras_does(self):
        model = tiny.simmim()
        model.compile("sgd", steps_per_execution=2, jit_compile=True)
        with self.assertRaisesRegex(ValueError, "steps_per_execution"):
            model.fit(IMAGES, verbose=0)
        self.assertTrue(model.jit_compile)

    def test_weights_that_are_frozen_later(self):
        model = tiny.simmim()
        model.compile("sgd", jit_compile=True)
        model.train_on_batch(IMAGES)
        model.head.trainable = False
        model.compile("sgd", jit_compile=True)
        weights = model.encoder.trainable_weights + model.head.weights
        before = [self.to_numpy(v).copy() for v in weights]
        model.train_on_batch(IMAGES)
        frozen = {v.path for v in model.head.weights}
        for value, weight in zip(before, weights, strict=True):
            same = np.array_equal(value, self.to_numpy(weight))
            self.assertEqual(same, weight.path in frozen, weight.path)
