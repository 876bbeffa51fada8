"""Pre-trains a Swin with SimMIM on the bundled photographs: a script to copy.

    python examples/simmim.py

Run it from the root of the repository; it takes four minutes on two CPU cores.
For your own photographs, call `from_folder` in place of `from_pack`. Writes to
runs/simmim_script: reconstructions.png, simmim.keras, encoder.keras, and
encoder/, a SavedModel that needs TensorFlow alone.
"""

import pathlib

import keras
import numpy as np

import keras_mim

PACK = "examples/data/clothing64.npz"
IMAGE_SHAPE = (64, 64, 3)
EPOCHS = 10
OUTPUT = pathlib.Path("runs/simmim_script")

keras.utils.set_random_seed(0)
OUTPUT.mkdir(parents=True, exist_ok=True)

# SimMIM's crops are larger than MAE's. Whole images are to look at.
crops = keras_mim.data.ImagePipeline(
    IMAGE_SHAPE, batch_size=64, scale=(0.67, 1.0), seed=0, drop_remainder=True
)
whole = keras_mim.data.ImagePipeline(
    IMAGE_SHAPE, batch_size=64, augment=False, crop_ratio=1.0
)
train = crops.from_pack(PACK)
validation = whole.from_pack(PACK, "validation")

# Hidden cells become mask tokens, and one linear layer predicts their pixels.
encoder = keras_mim.encoders.Swin(
    IMAGE_SHAPE,
    patch_size=4,
    hidden_dim=48,
    depths=[2, 2],
    num_heads=[3, 6],
    window_size=4,
)
simmim = keras_mim.SimMIM(
    encoder, keras_mim.masking.RandomMasking(0.6, mask_patch_size=16, seed=0)
)

steps = EPOCHS * len(train)
learning_rate = keras.optimizers.schedules.CosineDecay(
    0.0, steps, warmup_target=1.5e-3, warmup_steps=steps // 10
)
optimizer = keras.optimizers.AdamW(learning_rate, 0.05, epsilon=1e-8)
# As in the paper: no decay for biases and norms.
optimizer.exclude_from_weight_decay(
    [w for w in simmim.trainable_weights if len(w.shape) < 2]
)
simmim.compile(optimizer)
simmim.fit(train, validation_data=validation, epochs=EPOCHS, shuffle=False)

# What it fills in, in photographs that it was not trained on.
images = np.asarray(next(iter(validation)))[:8]
pictures = simmim.reconstruct(images)
keras_mim.callbacks.save_reconstruction_grid(
    pictures, OUTPUT / "reconstructions.png", encoder.normalization
)
simmim.save(OUTPUT / "simmim.keras")
encoder.save(OUTPUT / "encoder.keras")
keras_mim.serving.export_encoder(encoder, OUTPUT / "encoder")
