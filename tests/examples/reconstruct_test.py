import numpy as np
import pytest

from keras_mim import MAE
from keras_mim.encoders import ViT
from keras_mim.layers import MAEHead
from tests.converters import published
from tests.examples.example_test_case import PHOTOS
from tests.examples.example_test_case import ExampleTestCase

pytest.importorskip("tensorflow")
pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")


class ReconstructTest(ExampleTestCase):
    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_other_masks(self):
        folder = self.temp_dir()
        encoder = ViT((32, 32, 3), 8, 16, 1, 2, 32)
        MAE(encoder, head=MAEHead(16, 1, 2)).save(folder / "model.keras")
        mask = np.zeros((32, 32), "uint8")
        mask[:, :16] = 255
        Image.fromarray(mask).save(folder / "mask.png")
        for flag, shown in (
            ("--mask_ratio=0.5,0.75", "50% hidden, 75% hidden"),
            (f"--mask_image={folder}/mask.png", "50% of the patches"),
        ):
            output = self.example(
                "reconstruct.py",
                f"--run={folder}/model.keras",
                flag,
                f"--output={folder}/rec.png",
                PHOTOS / "kodak_01.jpg",
                PHOTOS / "skimage_chelsea.jpg",
            )
            self.assertIn(shown, output)
            self.assertIsPicture(folder / "rec.png")
            (folder / "rec.png").unlink()

    @pytest.mark.torch_only  # Slow, and the same on every backend.
    def test_a_published_checkpoint(self):
        torch = pytest.importorskip("torch")
        folder = self.temp_dir()
        # The widths of the published kind, which tell the number of heads.
        shapes = published.encoder_shapes(192, 1, 16)
        arrays = published.random_arrays(
            shapes | published.decoder_shapes(192, 16, depth=1), (14, 14)
        )
        tensors = {k: torch.tensor(v) for k, v in arrays.items()}
        path = folder / "mae_visualize_vit_base.pth"
        torch.save({"model": tensors}, path)
        output = self.example(
            "reconstruct.py",
            f"--checkpoint={path}",
            f"--output={folder}/rec.png",
            PHOTOS / "skimage_chelsea.jpg",
        )
        self.assertIn("75% of the patches", output)
        self.assertIsPicture(folder / "rec.png")

        encoder = {k: tensors[k] for k in shapes}
        path = folder / "mae_pretrain_vit_base.pth"
        torch.save({"model": encoder}, path)
        output = self.example(
            "reconstruct.py",
            f"--checkpoint={path}",
            PHOTOS / "skimage_chelsea.jpg",
            code=1,
        )
        self.assertIn("an encoder and no decoder", output)
