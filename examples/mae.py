"""Pre-trains with MAE on the bundled photographs: a script to copy.

    python examples/mae.py

Run it from the root of the repository; it takes five minutes on two CPU cores.
For your own photographs, call `from_folder` in place of `from_pack`. Writes to
runs/mae_script: reconstructions.png, mae.keras, encoder.keras, and encoder/,
a SavedModel that needs TensorFlow alone.
"""

import pathlib

import keras
import numpy as np

import keras_mim

PACK = "examples/data/clothing64.npz"
IMAGE_SHAPE = (64, 64, 3)
EPOCHS = 20
OUTPUT = pathlib.Path("runs/mae_script")

keras.utils.set_random_seed(0)
OUTPUT.mkdir(parents=True, exist_ok=True)

# Random crops to train on, and whole images to look at.
crops = keras_mim.data.ImagePipeline(
    IMAGE_SHAPE, batch_size=64, seed=0, drop_remainder=True
)
whole = keras_mim.data.ImagePipeline(
    IMAGE_SHAPE, batch_size=64, augment=False, crop_ratio=1.0
)
train = crops.from_pack(PACK)
validation = whole.from_pack(PACK, "validation")

# A quarter of the patches is encoded, and a small decoder predicts the rest.
encoder = keras_mim.encoders.ViT(
    IMAGE_SHAPE, 8, hidden_dim=128, num_layers=6, num_heads=4, mlp_dim=512
)
mae = keras_mim.MAE(
    encoder,
    masking=keras_mim.masking.RandomMasking(0.75, seed=0),
    head=keras_mim.layers.MAEHead(hidden_dim=64, num_layers=2, num_heads=2),
    target=keras_mim.targets.PixelTarget(normalize=True),
)

steps = EPOCHS * len(train)
learning_rate = keras.optimizers.schedules.CosineDecay(
    0.0, steps, warmup_target=1.5e-3, warmup_steps=steps // 10
)
optimizer = keras.optimizers.AdamW(
    learning_rate, 0.05, beta_2=0.95, epsilon=1e-8
)
# As in the paper: no decay for biases and norms.
optimizer.exclude_from_weight_decay(
    [w for w in mae.trainable_weights if len(w.shape) < 2]
)
mae.compile(optimizer)
mae.fit(train, validation_data=validation, epochs=EPOCHS, shuffle=False)

# What it fills in, in photographs that it was not trained on.
images = np.asarray(next(iter(validation)))[:8]
pictures = mae.reconstruct(images)
keras_mim.callbacks.save_reconstruction_grid(
    pictures, OUTPUT / "reconstructions.png", encoder.normalization
)
mae.save(OUTPUT / "mae.keras")
encoder.save(OUTPUT / "encoder.keras")
keras_mim.serving.export_encoder(encoder, OUTPUT / "encoder")
