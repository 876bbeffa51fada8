import importlib.util

import keras
import numpy as np
import pytest

from keras_mim import MAE
from keras_mim.layers import MAEHead
from keras_mim.masking import RandomMasking
from keras_mim.targets import EMATarget
from keras_mim.targets import PixelTarget
from tests import reference
from tests import tiny
from tests.test_case import TestCase

IMAGES = tiny.images(4)
MASKED = np.array([[1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 1, 0]] * 2, bool)


def tiny_mae_with_mask_tokens():
    return tiny.simmim(
        head=MAEHead(hidden_dim=16, num_layers=1, num_heads=2),
        target=PixelTarget(normalize=True),
    )


class MaskedImageModelTest(TestCase):
    def test_looking_does_not_change_training(self):
        model = tiny.mae()
        state = model.masking.seed_generator.state
        before = self.to_numpy(state).copy()
        masked = model.reconstruct(IMAGES)["masked"]
        self.assertAllEqual(state, before)
        self.assertAllEqual(model.reconstruct(IMAGES)["masked"], masked)
        self.assertEqual(len(np.unique(masked.sum(axis=1))), 1)

    def test_evaluations_have_the_same_masks_and_training_others(self):
        # Without a seed of its own: the model's file holds it.
        model = tiny.mae(masking=RandomMasking(0.6))
        # Nothing is learned: losses differ by their masks alone.
        model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
        arguments = {"batch_size": 2, "epochs": 2, "verbose": 0}
        seeds = model.masking.seed_generator

        def fit(**validation):
            seeds.state.assign(seeds.start())
            history = model.fit(
                IMAGES, shuffle=False, **arguments, **validation
            )
            return history.history

        alone = fit()["loss"]
        self.assertNotEqual(*alone)
        history = fit(validation_data=(IMAGES, np.zeros(4)))
        self.assertEqual(history["loss"], alone)
        first, second = history["val_loss"]
        self.assertEqual(first, second)
        path = self.temp_dir() / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
        loss = model.evaluate(IMAGES, batch_size=2, verbose=0)
        self.assertAllClose(loss, first)
        state = self.to_numpy(seeds.state).copy()
        masks = [
            model.predict(IMAGES, batch_size=2, verbose=0)["masked"]
            for _ in range(2)
        ]
        self.assertAllEqual(*masks)
        for each in (model, loaded):
            self.assertAllEqual(each.draw_masks(IMAGES[:2]), masks[0][:2])
        # Of the second batch.
        self.assertTrue((masks[0][:2] != masks[0][2:]).any())
        self.assertAllEqual(seeds.state, state)
        # An evaluation that fails between epochs takes nothing with it.
        weights = model.get_weights()
        wrong = {"images": IMAGES, "masked": np.tile(np.arange(6) < 2, (4, 1))}
        with self.assertRaisesRegex(ValueError, "masking, 4.*Received: 2"):
            fit(validation_data=(x for x in [(wrong, np.zeros(4))]))
        for one, other in zip(weights, model.get_weights(), strict=True):
            self.assertAllEqual(one, other)

    def test_loss_is_the_mean_over_hidden_patches(self):
        for make, error in ((tiny.mae, np.square), (tiny.simmim, np.abs)):
            model = make(masking=RandomMasking(0.6))
            model.compile()
            inputs = {"images": IMAGES, "masked": MASKED}
            outputs = model.predict(inputs, verbose=0)
            errors = error(outputs["prediction"] - outputs["target"])
            loss = model.evaluate(inputs, verbose=0)
            self.assertAllClose(loss, errors[MASKED].mean(), 1e-5, 1e-5)
            model = make(masking=RandomMasking(0.6), loss_on_all_patches=True)
            model.compile()
            outputs = model.predict(inputs, verbose=0)
            errors = error(outputs["prediction"] - outputs["target"])
            loss = model.evaluate(inputs, verbose=0)
            self.assertAllClose(loss, errors.mean(), 1e-5, 1e-5)

    def test_compiled_loss_metrics_and_sample_weight(self):
        model = tiny.mae()
        model.compile(loss="mae", metrics=["mse"], weighted_metrics=["mse"])
        inputs = {"images": IMAGES, "masked": MASKED}
        outputs = model.predict(inputs, verbose=0)
        error = outputs["prediction"] - outputs["target"]
        results = model.evaluate(inputs, verbose=0, return_dict=True)
        expected = [
            np.abs(error)[MASKED].mean(),
            (error**2).mean(),
            (error**2)[MASKED].mean(),
        ]
        self.assertAllClose(sorted(results.values()), sorted(expected), 1e-5)
        weight = np.array([2, 1, 0, 1], "float32")
        loss = model.evaluate(
            inputs,
            np.zeros(4),  # Keras drops weights that come without labels.
            sample_weight=weight,
            verbose=0,
            return_dict=True,
        )["loss"]
        per_image = [np.abs(e)[m].mean() for e, m in zip(error, MASKED)]
        self.assertAllClose(loss, np.mean(weight * per_image), 1e-5)

    def test_labels_are_ignored(self):
        model = tiny.mae()
        model.compile("sgd")
        history = model.fit(IMAGES, np.arange(4), verbose=0)
        self.assertTrue(np.isfinite(history.history["loss"]).all())

    def test_data_may_come_in_any_container(self):
        class Batches(keras.utils.PyDataset):
            def __len__(self):
                return 2

            def __getitem__(self, index):
                return (IMAGES[2 * index : 2 * index + 2], np.zeros(2))

        containers = [IMAGES, Batches()]
        if importlib.util.find_spec("tensorflow"):
            import tensorflow as tf

            dataset = tf.data.Dataset.from_tensor_slices(IMAGES)
            containers.append(dataset.batch(2))
        if importlib.util.find_spec("torch"):
            import torch

            dataset = torch.utils.data.TensorDataset(torch.tensor(IMAGES))
            containers.append(torch.utils.data.DataLoader(dataset, 2))
        model = tiny.mae()
        model.compile("sgd")
        for container in containers:
            arguments = {"batch_size": 2} if container is IMAGES else {}
            history = model.fit(container, **arguments, verbose=0)
            self.assertTrue(np.isfinite(history.history["loss"]).all())
        # One step for every two images, whatever they came in.
        steps = 2 * len(containers)
        self.assertEqual(int(model.optimizer.iterations), steps)

    def test_bytes_are_normalised(self):
        pixels = np.random.default_rng(0).integers(0, 256, IMAGES.shape)
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        images = ((pixels / 255 - mean) / std).astype("float32")
        pixels = pixels.astype("uint8")
        model = tiny.mae()
        expected = model.reconstruct(images, MASKED)
        for name, value in model.reconstruct(pixels, MASKED).items():
            self.assertAllClose(value, expected[name], 1e-5, 1e-5)

    def test_saves_class_weights_compiled_state_and_seeds(self):
        for make in (tiny.mae, tiny.simmim):
            model = make(tiny.vit(num_layers=2, drop_path_rate=0.3))
            model.compile(keras.optimizers.SGD(0.1, 0.9), loss="huber")
            model.fit(IMAGES, verbose=0)
            path = self.temp_dir() / "model.keras"
            model.save(path)
            loaded = keras.saving.load_model(path)
            self.assertIs(type(loaded), type(model))
            self.assertEqual(loaded.loss, "huber")
            for one, other in zip(model.variables, loaded.variables):
                self.assertEqual(one.name, other.name)
                self.assertAllEqual(one, other)
            for one, other in zip(
                model.optimizer.variables, loaded.optimizer.variables
            ):
                self.assertAllEqual(one, other)
            # The next masks and dropped paths too: training goes on as if
            # nothing had happened.
            for each in (model, loaded):
                each.fit(IMAGES, epochs=2, shuffle=False, verbose=0)
            for one, other in zip(model.weights, loaded.weights):
                self.assertAllClose(one, other, 1e-5, 1e-6)

    def test_a_file_trains_on_as_the_model_does(self):
        encoder = tiny.vit(num_layers=2)
        encoder.trainable = False
        encoder.blocks[1].trainable = True
        encoder.blocks[1].mlp_in.enable_lora(2)
        model = tiny.mae(encoder, target=EMATarget(0.5, 1))
        model.head.norm.trainable = False
        trained = [w.path for w in model.trainable_weights]
        eagerly = keras.backend.backend() == "tensorflow"
        model.compile("adamw", run_eagerly=eagerly)
        model.fit(IMAGES, verbose=0)
        path = self.temp_dir() / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
        self.assertEqual(len(loaded.trainable_weights), len(trained))
        frozen = [self.to_numpy(w) for w in encoder.blocks[0].weights]
        for each in (model, loaded):
            each.fit(IMAGES, shuffle=False, verbose=0)
        self.assertSameState(loaded, model)
        self.assertEqual(int(loaded.optimizer.iterations), 2)
        for weight, value in zip(loaded.encoder.blocks[0].weights, frozen):
            self.assertAllEqual(weight, value)

    def test_fitting_without_compiling_is_kerass_error(self):
        with self.assertRaisesRegex(ValueError, r"call `compile\(\)` before"):
            tiny.mae().fit(IMAGES, verbose=0)

    def test_drop_path_acts_in_training_only(self):
        for make in (tiny.mae, tiny.simmim):
            model = make(tiny.vit(num_layers=2, drop_path_rate=0.3))
            model.compile("sgd")
            drop_path = model.encoder.blocks[1].attention_drop_path
            # The seed, and how often it was used.
            state = drop_path.seed_generator.state
            model.evaluate(IMAGES, batch_size=2, verbose=0)
            model.predict(IMAGES, batch_size=2, verbose=0)
            self.assertEqual(int(self.to_numpy(state)[1]), 0)
            model.fit(IMAGES, batch_size=2, verbose=0)
            # One for each step.
            steps = len(IMAGES) // 2
            self.assertEqual(int(self.to_numpy(state)[1]), steps)

    def test_weights_file_restores_the_seeds(self):
        model, other = tiny.mae(), tiny.mae()
        model.masking(IMAGES)
        path = self.temp_dir() / "model.weights.h5"
        model.save_weights(path)
        other.load_weights(path)
        self.assertAllEqual(model.masking(IMAGES), other.masking(IMAGES))

    def test_every_weight_gets_a_gradient(self):
        for make in (tiny.mae, tiny.simmim, tiny_mae_with_mask_tokens):
            model = make()
            model.compile("sgd")
            before = [self.to_numpy(w).copy() for w in model.trainable_weights]
            model.fit(IMAGES, verbose=0)
            for weight, old in zip(model.trainable_weights, before):
                self.assertTrue(
                    np.any(self.to_numpy(weight) != old), weight.path
                )

    def test_mixed_precision_trains(self):
        precisions = ["mixed_bfloat16"]
        if keras.backend.backend() != "jax":
            # JAX has no float16 products that add up in float32 on CPU.
            precisions.append("mixed_float16")
        for precision in precisions:
            keras.config.set_dtype_policy(precision)
            self.addCleanup(keras.config.set_dtype_policy, "float32")
            for make in (tiny.mae, tiny.simmim):
                model = make()
                model.compile("sgd")
                history = model.fit(IMAGES, epochs=3, verbose=0)
                self.assertTrue(np.isfinite(history.history["loss"]).all())
                target = model(IMAGES)["target"]
                expected = type(model.target).from_config(
                    model.target.get_config()
                )(IMAGES)
                self.assertAllClose(target, expected)

    def test_jit_compiled_step_equals_the_eager_one(self):
        if keras.backend.backend() == "jax":
            self.skipTest("JAX compiles each operation of an eager step.")
        inputs = {"images": IMAGES, "masked": MASKED}
        losses = []
        for arguments in (
            {"jit_compile": self.jit_compile()},
            {"run_eagerly": True},
        ):
            keras.utils.set_random_seed(0)
            model = tiny.mae()
            reference.randomise(model, scale=0.1)
            model.compile("sgd", **arguments)
            history = model.fit(inputs, epochs=3, verbose=0)
            losses.append(history.history["loss"])
        # Three steps of float32 in another order of operations.
        self.assertAllClose(losses[0], losses[1], 1e-4, 1e-5)

    def test_any_count_of_hidden_patches(self):
        for make in (tiny.mae, tiny.simmim):
            model = make()
            for count in (1, 3, 5):
                masked = np.arange(6) < count
                result = model.reconstruct(IMAGES, masked)
                self.assertAllEqual(result["masked"], np.tile(masked, (4, 1)))

    def test_reconstruct(self):
        for make in (tiny.mae, tiny.simmim):
            model = make()
            result = model.reconstruct(IMAGES, batch_size=3)
            masked = result["masked"]
            count = model.masking.num_masked((2, 3))
            self.assertAllEqual(masked.sum(axis=1), [count] * 4)
            hidden = masked.reshape(4, 2, 1, 3, 1, 1)
            hidden = np.broadcast_to(hidden, (4, 2, 4, 3, 4, 3))
            hidden = hidden.reshape(IMAGES.shape)
            self.assertAllEqual(result["original"], IMAGES)
            for name, inside in (
                ("masked_image", np.zeros_like(IMAGES)),
                ("pasted", result["reconstruction"]),
            ):
                self.assertAllEqual(result[name][~hidden], IMAGES[~hidden])
                self.assertAllEqual(result[name][hidden], inside[hidden])

    def test_reconstruction_is_denormalised(self):
        # A model that predicts its target exactly reconstructs the image.
        model = tiny.mae()
        target = self.to_numpy(model.target(IMAGES))
        model.predict_patches = lambda images, masked, batch_size: target
        result = model.reconstruct(IMAGES, MASKED)
        self.assertAllClose(result["reconstruction"], IMAGES, 1e-5, 1e-5)

    def test_other_shapes(self):
        for channels, make in ((1, tiny.simmim), (13, tiny.mae)):
            encoder = tiny.vit((8, 12, channels), use_class_token=channels == 1)
            images = np.ones((2, 8, 12, channels), "float32")
            model = make(encoder)
            model.compile("sgd")
            model.fit(images, verbose=0)
            result = model.reconstruct(images)
            self.assertEqual(result["pasted"].shape, images.shape)

    def test_wrong_images(self):
        model = tiny.mae()
        model.compile("sgd")
        weights = model.get_weights()
        for shape in ((2, 8, 12, 1), (2, 8, 8, 3), (8, 12, 3)):
            images = np.zeros(shape, "float32")
            message = rf"image_shape=\(8, 12, 3\).*{shape[1]}"
            for call in (
                model,
                model.fit,
                model.reconstruct,
                lambda x: model.predict_patches(x, MASKED),
            ):
                with self.assertRaisesRegex(ValueError, message):
                    call(images)
        for one, other in zip(weights, model.get_weights()):
            self.assertAllEqual(one, other)

    def test_wrong_masks(self):
        model = tiny.mae()
        model.compile("sgd")
        unequal = MASKED.copy()
        unequal[0, 0] = False
        for masked, message in (
            (MASKED.astype("float32"), "dtype float32"),
            (MASKED[:, :5], r"\(4, 5\)"),
            (unequal, "between 3 and 4"),
        ):
            inputs = {"images": IMAGES, "masked": masked}
            for call in (
                lambda: model.predict_patches(IMAGES, masked),
                lambda: model.reconstruct(IMAGES, masked),
                lambda: model.fit(inputs, verbose=0),
            ):
                with self.assertRaisesRegex(ValueError, message):
                    call()

    def test_training_masks_of_another_count(self):
        model = tiny.mae()
        model.compile("sgd")
        masked = np.tile(np.arange(6) < 2, (4, 1))
        inputs = {"images": IMAGES, "masked": masked}
        with self.assertRaisesRegex(ValueError, "masking, 4.*Received: 2"):
            model.fit(inputs)
        # Where nothing can be checked beforehand, the prediction says so, for
        # the image that it is about.
        masked[0, 2:4] = True
        wrong = np.isnan(self.to_numpy(model(inputs)["prediction"]))
        self.assertAllEqual(wrong.all(axis=(1, 2)), [False, True, True, True])
        self.assertFalse(wrong[0].any())

    @pytest.mark.tensorflow_only
    def test_export_knows_what_the_model_takes(self):
        import tensorflow as tf

        model = tiny.mae()
        folder = str(self.temp_dir() / "model")
        model.export(folder, verbose=False)
        loaded = tf.saved_model.load(folder)
        served = loaded.serve(IMAGES)
        # Masks are drawn anew; the target is of the images alone.
        expected = model.target(IMAGES)
        self.assertAllClose(served["target"], expected, 1e-5, 1e-5)
        self.assertEqual(served["prediction"].shape, (4, 6, 48))

    @pytest.mark.torch_only
    def test_export_that_fails_says_what_works(self):
        folder = str(self.temp_dir() / "model")
        with self.assertRaisesRegex(ValueError, "serving.export_encoder"):
            tiny.mae().export(folder, verbose=False)

    def test_unknown_input(self):
        with self.assertRaisesRegex(ValueError, r"\['image'\]"):
            tiny.mae()({"image": IMAGES})

    def test_part_that_does_not_fit_the_encoder(self):
        with self.assertRaisesRegex(ValueError, "4. Received: patch_size=8"):
            MAE(tiny.vit(), target=PixelTarget(patch_size=8))
