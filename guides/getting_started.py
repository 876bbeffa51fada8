"""
Title: Pre-train an image encoder on photographs without labels
Author: The keras_mim authors
Date created: 2026/11/20
Last modified: 2026/11/20
Description: Train a masked autoencoder, look at it, probe it and export it.
Accelerator: None
"""

"""
## Introduction

A masked autoencoder (MAE,
[He et al., 2021](https://arxiv.org/abs/2111.06377)) learns from images without
labels. It hides three quarters of an image, encodes the quarter that is left,
and predicts the pixels that were hidden. What you keep is the encoder.

This guide trains one on 3,068 small photographs of clothes that come with
keras_mim, looks at what it fills in, checks with a linear classifier that its
features are worth more than before training, and exports it for serving. It
takes about three minutes on two CPU cores. Run it from the root of the
repository.

The code is the same on TensorFlow, JAX and torch. Choose with `KERAS_BACKEND`
before Keras is imported.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np

import keras_mim

EPOCHS = 10  # More is better: 20 give the pictures of the README.
PACK = "examples/data/clothing64.npz"
OUTPUT = "runs/getting_started"

keras.utils.set_random_seed(0)
os.makedirs(OUTPUT, exist_ok=True)

"""
## Images

`ImagePipeline` reads a folder, a TFDS data set, arrays, or as here a pack of
JPEG files. For training it takes a random crop of each image, flips half of
them and normalises the pixels; that is all the augmentation MAE needs.

Your own photographs: `pipeline.from_folder("photos")`. With a folder for each
class, `train = pipeline.from_folder("flowers/train", labels=True)` gives labels
too. Their names are `train.class_names`; every other folder, whose classes may
be fewer, is read with `class_names=train.class_names`.
"""

image_shape = (64, 64, 3)
pipeline = keras_mim.data.ImagePipeline(
    image_shape, batch_size=64, seed=0, drop_remainder=True, on_error="raise"
)
train_images = pipeline.from_pack(PACK)

"""
For looking and probing, we want whole images in a fixed order.
"""

plain = keras_mim.data.ImagePipeline(
    image_shape, batch_size=256, augment=False, crop_ratio=1.0
)

"""
## The encoder, and the model that trains it

The encoder is a plain Keras model from images to tokens: one for each patch of
8 x 8 pixels, and a class token in front. It knows nothing of masks.
"""

encoder = keras_mim.encoders.ViT(
    image_shape,
    patch_size=8,
    hidden_dim=128,
    num_layers=6,
    num_heads=4,
    mlp_dim=512,
)
print("tokens:", encoder(np.zeros((1, *image_shape))).shape)

"""
`MAE` puts the encoder together with three parts: a masking, a head (MAE's
decoder) and a target. Left out, each is the paper's. The paper's decoder is
made for larger images than ours, so we give a smaller one.
"""

mae = keras_mim.MAE(
    encoder,
    masking=keras_mim.masking.RandomMasking(0.75, seed=0),
    head=keras_mim.layers.MAEHead(hidden_dim=64, num_layers=2, num_heads=2),
)
mae.summary()

"""
## A look at the features before training

A linear probe tells what features are worth: freeze the encoder, train one
linear layer on the mean of its patch tokens, and see how often it names the
garment.
"""


def features_of(encoder, split):
    features, labels = [], []
    for images, some_labels in plain.from_pack(PACK, split, labels=True):
        tokens = encoder(np.asarray(images))
        tokens = keras.ops.convert_to_numpy(tokens)
        features.append(tokens[:, encoder.num_prefix_tokens :].mean(axis=1))
        labels.append(np.asarray(some_labels))
    return np.concatenate(features), np.concatenate(labels)


def probe(encoder):
    classifier = keras.Sequential(
        [
            keras.layers.BatchNormalization(center=False, scale=False),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    classifier.compile(
        keras.optimizers.Adam(3e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    classifier.fit(*features_of(encoder, "train"), epochs=20, verbose=0)
    _, accuracy = classifier.evaluate(*features_of(encoder, "test"), verbose=0)
    return accuracy


accuracy_before = probe(encoder)
print(f"linear probe before training: {accuracy_before:.1%}")

"""
## Training

Any Keras optimizer will do; the papers take AdamW, and spare biases and norms
its weight decay. Compiled without a loss, the model uses its paper's: the
squared error on the hidden patches. A callback writes a picture of the same
eight images as training goes on.
"""

first_images = np.asarray(next(iter(plain.from_pack(PACK, "validation"))))[:8]
watch = keras_mim.callbacks.ReconstructionCallback(
    first_images,
    f"{OUTPUT}/reconstructions",
    every_epochs=5,
)
steps = EPOCHS * len(train_images)
optimizer = keras.optimizers.AdamW(
    keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=1.5e-3, warmup_steps=steps // 10
    ),
    weight_decay=0.05,
    beta_2=0.95,
    epsilon=1e-8,
)
optimizer.exclude_from_weight_decay(
    [w for w in mae.trainable_weights if len(w.shape) < 2]
)
mae.compile(optimizer)
mae.fit(train_images, epochs=EPOCHS, shuffle=False, callbacks=[watch])

"""
## Looking

`reconstruct` gives the pictures as arrays: the original, what the encoder saw,
the prediction for every patch, and the prediction pasted into what was
visible. The mask can be yours, here the left half of every image.
"""

left_half = np.zeros((8, 8), bool)
left_half[:, :4] = True
result = mae.reconstruct(first_images, masked=left_half.reshape(-1))
keras_mim.callbacks.save_reconstruction_grid(
    result, f"{OUTPUT}/left_half.png", encoder.normalization
)

"""
## Was it worth it?

The same probe, on the same encoder, now trained without a single label.
"""

accuracy_after = probe(encoder)
print(f"linear probe before training: {accuracy_before:.1%}")
print(f"linear probe after training:  {accuracy_after:.1%}")

"""
## Keeping the encoder

As a Keras model, to fine-tune or to go on with:
"""

mae.encoder.save(f"{OUTPUT}/encoder.keras")

"""
And as a SavedModel that needs nothing but TensorFlow, with decoding and
normalisation inside: it takes pixels, or JPEG and PNG files as they are.
"""

keras_mim.serving.export_encoder(mae.encoder, f"{OUTPUT}/encoder")

import tensorflow as tf

served = tf.saved_model.load(f"{OUTPUT}/encoder")
photo = tf.io.read_file("examples/data/photos/skimage_chelsea.jpg")
embed = served.signatures["encoded_images"]
print("embedding:", embed(images=photo[None])["embedding"].shape)

"""
Without TensorFlow, two other files serve: that of `serving.export_onnx` in ONNX
Runtime, and that of `serving.export_litert` in LiteRT, on phones and small
computers, smaller with `quantization="int8"`. They take pixels in [0, 255], of
the encoder's size. Classifiers go into LiteRT too.

## Where to go from here

- `examples/pretrain.py` does the same from the command line, on your own
  folder, with checkpoints that it can resume from.
- `keras_mim.SimMIM(encoder)` trains by the other method of this library.
- Every part is an argument: another mask ratio, a deeper decoder, raw pixels
  as the target, masks of your own.
"""
