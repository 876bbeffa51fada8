import numpy as np
import pytest

from keras_mim import ops
from keras_mim.converters import load_encoder
from keras_mim.encoders import Swin
from keras_mim.encoders import SwinV2
from keras_mim.encoders import ViT
from tests.test_case import TestCase


def rebuilt(encoder, **changes):
    return type(encoder).from_config({**encoder.get_config(), **changes})


def vit(**kwargs):
    return ViT((16, 24, 3), 4, 8, 2, 2, 16, **kwargs)


class LoadEncoderTest(TestCase):
    def test_the_same_encoder_with_drop_path(self):
        images = np.random.default_rng(0).normal(size=(2, 16, 24, 3))
        for encoder in (
            vit(),
            vit(positions="shared_relative", layer_scale=0.1),
            Swin((16, 24, 3), 2, 8, (1, 1), (1, 2), 4),
            SwinV2((16, 24, 3), 2, 8, (1, 1), (1, 2), 4),
        ):
            other = rebuilt(encoder, drop_path_rate=0.5)
            load_encoder(other, encoder)
            self.assertAllClose(other(images), encoder(images))

    def test_positions_of_another_resolution(self):
        encoder = vit(positions="learned")
        larger = rebuilt(encoder, image_shape=(32, 32, 3))
        report = load_encoder(larger, encoder)
        table = larger.position_embedding.layers[-1].table
        self.assertEqual(list(report.reshaped), [table.path])
        table = self.to_numpy(encoder.position_embedding.layers[-1].table)[0]
        patches = table[1:].reshape(4, 6, 8)
        expected = ops.resize_bicubic(patches, (8, 8)).reshape(64, 8)
        found = self.to_numpy(larger.position_embedding.layers[-1].table)[0]
        self.assertAllClose(found[1:], expected)
        self.assertAllClose(found[:1], table[:1])

    def test_windows_of_another_size(self):
        pytest.importorskip("scipy")
        encoder = Swin((16, 16, 3), 2, 8, (1, 1), (1, 2), 4)
        other = rebuilt(encoder, image_shape=(24, 24, 3), window_size=6)
        report = load_encoder(other, encoder)
        self.assertEqual(len(report.reshaped), 2)
        found = self.to_numpy(other.blocks[0].attention.table)
        expected = ops.resize_relative_positions(
            self.to_numpy(encoder.blocks[0].attention.table), (4, 4), (6, 6)
        )
        self.assertAllClose(found, expected)

    def test_a_shared_table_for_every_block_and_no_final_norm(self):
        encoder = vit(positions="shared_relative", use_key_bias=False)
        table = encoder.position_biases[0].table
        table.assign(np.random.default_rng(0).normal(size=table.shape))
        other = rebuilt(encoder, positions="relative")
        load_encoder(other, encoder)
        for bias in other.position_biases:
            self.assertAllEqual(bias.table, table)
        bare = rebuilt(encoder, use_final_norm=False)
        load_encoder(bare, rebuilt(bare))

    def test_other_kinds(self):
        with self.assertRaisesRegex(ValueError, "ViT. Received: Swin"):
            load_encoder(vit(), Swin((16, 24, 3), 2, 8, (1, 1), (1, 2), 4))
