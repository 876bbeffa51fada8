import json
import sys
from unittest import mock

import keras
import numpy as np
import pytest

import keras_mim
from keras_mim.targets import PCATarget
from tests import tiny
from tests.reference import patchify
from tests.test_case import TestCase

# 480 patches of 12 values: several steps of a fit, and a rest.
SHAPE = (20, 8, 12, 3)
PATCH_SIZE = 2
PATCH_DIM = 12
NUM_PATCHES = 24


def images_with_a_clear_spectrum(seed=0):
    """Returns images whose patches have deviations 1, 1.5, 1.5**2, ..."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(PATCH_DIM, PATCH_DIM)))
    patches = rng.normal(size=(SHAPE[0], NUM_PATCHES, PATCH_DIM))
    # The strongest direction but two shows in the last images only.
    patches[:15, :, -3] = 0
    patches = patches * 1.5 ** np.arange(PATCH_DIM) @ basis
    patches = (patches + rng.normal(size=PATCH_DIM)).astype("float32")
    images = keras_mim.ops.unpatchify(patches, (4, 6), PATCH_SIZE)
    return keras.ops.convert_to_numpy(images)


def eigen_decomposition(images):
    """Returns mean, variances and directions of patches, largest first."""
    patches = patchify(images, PATCH_SIZE).reshape(-1, PATCH_DIM)
    mean = patches.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(patches.T))
    return mean, variances[::-1], directions.T[::-1]


def random_basis(num_components, patch_dim=PATCH_DIM, seed=1):
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(patch_dim, patch_dim)))
    return {
        "components": basis[:num_components].astype("float32"),
        "mean": rng.normal(size=patch_dim).astype("float32"),
    }


def small_encoder():
    return tiny.vit(patch_size=PATCH_SIZE)


def small_simmim(target):
    """Returns a model with a linear head: quick to build and to compile."""
    return tiny.simmim(small_encoder(), target=target)


class Batches(keras.utils.PyDataset):
    def __init__(self, images):
        super().__init__()
        self.images = images

    def __len__(self):
        return len(self.images) // 4

    def __getitem__(self, index):
        return self.images[4 * index : 4 * index + 4], index


IMAGES = images_with_a_clear_spectrum()


class PCATargetTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            PCATarget,
            {**random_basis(5), "patch_size": PATCH_SIZE},
            inputs=[IMAGES[:2]],
            expected_shape=(2, NUM_PATCHES, 5),
            expected_dtype="float32",
            num_weights=2,
        )
        target = PCATarget(**random_basis(5), patch_size=PATCH_SIZE)
        self.assertEqual(
            target.compute_output_shape((None, *SHAPE[1:])),
            (None, NUM_PATCHES, 5),
        )

    def test_coefficients_are_those_of_numpy(self):
        basis = random_basis(5)
        found = PCATarget(**basis, patch_size=PATCH_SIZE)(IMAGES)
        expected = patchify(IMAGES, PATCH_SIZE) - basis["mean"]
        expected = expected @ basis["components"].T.astype("float64")
        # Float32's rounding of values up to a few hundred.
        self.assertAllClose(found, expected, 1e-5, 1e-4)

    def test_coefficients_are_those_of_scikit_learn(self):
        decomposition = pytest.importorskip("sklearn.decomposition")
        patches = patchify(IMAGES, PATCH_SIZE).reshape(-1, PATCH_DIM)
        pca = decomposition.PCA(5).fit(patches)
        target = PCATarget(pca.components_, pca.mean_, PATCH_SIZE)
        expected = pca.transform(patches).reshape(-1, NUM_PATCHES, 5)
        self.assertAllClose(target(IMAGES), expected, 1e-5, 1e-4)

    def test_fit_is_the_eigen_decomposition_of_all_patches(self):
        pytest.importorskip("sklearn")
        mean, _, directions = eigen_decomposition(IMAGES)
        uneven = np.split(IMAGES, [1, 9, 9, 17])
        for images in (
            IMAGES,
            keras.ops.convert_to_tensor(IMAGES),
            [IMAGES],
            uneven,
            ((keras.ops.convert_to_tensor(x), None) for x in uneven),
            Batches(IMAGES),
        ):
            target = PCATarget.fit(
                images, patch_size=PATCH_SIZE, num_components=5
            )
            self.assertAllClose(target.mean, mean, 1e-5, 1e-5)
            # Unit vectors, up to the sign: float32 when they are kept.
            cosines = target.components @ directions[:5].T
            self.assertAllClose(np.abs(cosines), np.eye(5), 1e-5, 1e-5)

    def test_fit_on_tf_data(self):
        pytest.importorskip("sklearn")
        tf = pytest.importorskip("tensorflow")
        _, _, directions = eigen_decomposition(IMAGES)
        dataset = tf.data.Dataset.from_tensor_slices(IMAGES)
        for images in (
            dataset.batch(3),
            dataset.map(lambda image: (image, 0)).batch(7),
        ):
            target = PCATarget.fit(
                images, patch_size=PATCH_SIZE, num_components=5
            )
            cosines = target.components @ directions[:5].T
            self.assertAllClose(np.abs(cosines), np.eye(5), 1e-5, 1e-5)

    def test_fit_on_few_patches_and_on_whole_numbers(self):
        pytest.importorskip("sklearn")
        pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3))
        pixels = pixels.astype("uint8")
        # Four patches span three directions around their mean.
        target = PCATarget.fit(pixels, patch_size=2, num_components=3)
        restored = target.to_images(target(pixels), pixels)
        normalization = keras_mim.Normalization.for_channels(3)
        images = normalization.normalize(pixels)
        self.assertAllClose(restored, images, 1e-5, 1e-5)

    def test_variance_falls_from_coefficient_to_coefficient(self):
        pytest.importorskip("sklearn")
        _, variances, _ = eigen_decomposition(IMAGES)
        target = PCATarget.fit(
            IMAGES, patch_size=PATCH_SIZE, num_components=PATCH_DIM
        )
        found = self.to_numpy(target(IMAGES)).reshape(-1, PATCH_DIM)
        found = found.astype("float64").var(axis=0, ddof=1)
        self.assertTrue((np.diff(found) < 0).all())
        self.assertAllClose(found, variances, 1e-4, 1e-4)

    def test_fit_normalizes_bytes_once(self):
        pytest.importorskip("sklearn")
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, SHAPE, "uint8")
        other = keras_mim.Normalization((0.1, 0.4, 0.6), (0.2, 0.3, 0.5))
        options = {"patch_size": PATCH_SIZE, "num_components": 5}
        images = (pixels / np.float32(255) - other.mean) / other.std
        expected = PCATarget.fit(images.astype("float32"), **options)
        self.assertIsNone(expected.normalization)
        for batches in (pixels, [pixels[:8], pixels[8:]]):
            found = PCATarget.fit(batches, normalization=other, **options)
            self.assertAllClose(found.mean, expected.mean, 1e-4, 1e-4)
            same = found.components @ expected.components.T
            # The directions of noise are not far apart; their signs are free.
            self.assertAllClose(np.abs(same), np.eye(5), 0, 1e-2)
        again = PCATarget.from_config(found.get_config())
        for target in (found, again):
            with self.assertRaisesRegex(ValueError, "must be that of the enc"):
                small_simmim(target)
        with self.assertRaisesRegex(ValueError, "of dtype int64"):
            PCATarget.fit(pixels.astype("int64"), **options)

    def test_to_images_with_all_components_restores_images(self):
        basis = random_basis(PATCH_DIM)
        target = PCATarget(**basis, patch_size=PATCH_SIZE)
        # Before it is built, too.
        flat = target.to_images(np.zeros((1, 24, 12)), IMAGES[:1])
        self.assertAllClose(flat[0, :2, :2], basis["mean"].reshape(2, 2, 3))
        images = target.to_images(target(IMAGES), IMAGES)
        # Float32's rounding of values up to a few hundred.
        self.assertAllClose(images, IMAGES, 1e-5, 1e-4)

    def test_to_images_loses_the_variance_of_the_other_components(self):
        pytest.importorskip("sklearn")
        _, variances, _ = eigen_decomposition(IMAGES)
        target = PCATarget.fit(IMAGES, patch_size=PATCH_SIZE, num_components=5)
        pictures = self.to_numpy(target.to_images(target(IMAGES), IMAGES))
        lost = np.square(pictures - IMAGES.astype("float64")).sum()
        num_patches = SHAPE[0] * NUM_PATCHES
        expected = variances[5:].sum() * (num_patches - 1)
        self.assertAllClose(lost, expected, 1e-4)

    def test_basis_is_kept_in_files_and_in_the_config(self):
        basis = random_basis(5)
        head = keras_mim.layers.MAEHead(8, 1, 2)
        target = PCATarget(**basis)
        mae = keras_mim.MAE(small_encoder(), head=head, target=target)
        expected = self.to_numpy(target(IMAGES))
        path = self.temp_dir() / "mae.keras"
        mae.save(path)
        config = keras.saving.serialize_keras_object(target)
        config = json.loads(json.dumps(config))
        for again in (
            keras.saving.load_model(path).target,
            keras.saving.deserialize_keras_object(config),
            PCATarget.from_config(target.get_config()),
        ):
            self.assertAllEqual(again(IMAGES), expected)
            self.assertAllEqual(again.components, basis["components"])
            self.assertAllEqual(again.mean, basis["mean"])

    def test_saved_weights_bring_the_basis_that_they_were_trained_for(self):
        basis = random_basis(5)
        path = self.temp_dir() / "simmim.weights.h5"
        small_simmim(PCATarget(**basis)).save_weights(path)
        other = small_simmim(PCATarget(**random_basis(5, seed=2)))
        other.load_weights(path)
        self.assertAllEqual(other.target.components, basis["components"])
        # Now the config's, too.
        other = PCATarget.from_config(other.target.get_config())
        self.assertAllEqual(other.components, basis["components"])
        self.assertAllEqual(other.mean, basis["mean"])

    def test_training_leaves_the_basis_alone(self):
        basis = random_basis(5)
        simmim = small_simmim(PCATarget(**basis))
        # XLA would take most of the time of this file.
        jit_compile = keras.backend.backend() == "jax"
        simmim.compile("sgd", "mse", jit_compile=jit_compile)
        history = simmim.fit(IMAGES[:4], verbose=0)
        self.assertTrue(np.isfinite(history.history["loss"]).all())
        self.assertAllEqual(simmim.target.components, basis["components"])
        self.assertAllEqual(simmim.target.mean, basis["mean"])

    def test_float32_whatever_the_policy_and_the_images(self):
        images = (IMAGES[:2] * 9).clip(0, 255).astype("uint8")
        keras.config.set_dtype_policy("mixed_bfloat16")
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        target = PCATarget(**random_basis(5), patch_size=PATCH_SIZE)
        inputs = keras.Input(SHAPE[1:])
        found = keras.Model(inputs, target(inputs))(images)
        self.assertEqual(
            keras.backend.standardize_dtype(found.dtype), "float32"
        )
        basis = random_basis(5)
        expected = patchify(images, PATCH_SIZE) - basis["mean"]
        # Float32's rounding of values up to a few hundred.
        self.assertAllClose(found, expected @ basis["components"].T, 1e-5, 1e-3)

    def test_wrong_basis(self):
        basis = random_basis(5)
        for components, mean in (
            (basis["mean"], basis["mean"]),
            (basis["components"], basis["mean"][1:]),
            (basis["components"][:0], basis["mean"]),
        ):
            with self.assertRaisesRegex(ValueError, "components of shape"):
                PCATarget(components, mean)
        with self.assertRaisesRegex(ValueError, "must be finite"):
            PCATarget(basis["components"] * np.nan, basis["mean"])
        with self.assertRaisesRegex(ValueError, "must be finite"):
            PCATarget(basis["components"], basis["mean"] * np.inf)
        expected = r"patch_size=4 and 3 channels.*of shape \(5, 12\)"
        with self.assertRaisesRegex(ValueError, expected):
            PCATarget(**basis, patch_size=4)(IMAGES)
        with self.assertRaisesRegex(ValueError, "patch_size=2 and 1 channels"):
            PCATarget(**basis, patch_size=2)(IMAGES[..., :1])
        with self.assertRaisesRegex(ValueError, "a value for each value"):
            small_simmim(PCATarget(**random_basis(5, patch_dim=48)))
        with self.assertRaisesRegex(ValueError, "patch_size=None"):
            PCATarget(**basis)(IMAGES)

    def test_images_that_cannot_be_fitted(self):
        pytest.importorskip("sklearn")
        broken = IMAGES.copy()
        broken[-1, 0, 0, 0] = np.inf
        for images, num_components, message in (
            (broken, 5, "must be finite"),
            ([broken[:1] * np.nan], 5, "must be finite"),
            (IMAGES[:1, :4, :4], 4, "5 patches. Received.*4 patches"),
            (IMAGES[:0], 5, "images with 0 patches"),
            ([], 5, "images with 0 patches"),
            (IMAGES, 13, "in a patch, 12. Received: num_components=13"),
            (IMAGES, 0, "num_components=0"),
            (IMAGES[0], 5, r"a batch of shape \(8, 12, 3\)"),
            (list(IMAGES), 5, r"a batch of shape \(8, 12, 3\)"),
            ([IMAGES, IMAGES[..., :1]], 5, r"shape \(20, 8, 12, 1\)"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                PCATarget.fit(
                    images,
                    patch_size=PATCH_SIZE,
                    num_components=num_components,
                )
        with self.assertRaisesRegex(ValueError, "patch_size=None"):
            PCATarget.fit(IMAGES, patch_size=None)

    def test_without_scikit_learn_the_error_names_the_extra(self):
        hidden = {"sklearn": None, "sklearn.decomposition": None}
        with mock.patch.dict(sys.modules, hidden):
            with self.assertRaisesRegex(ImportError, r"keras-mim\[data\]"):
                PCATarget.fit(IMAGES, patch_size=PATCH_SIZE)
