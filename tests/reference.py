"""MAE and SimMIM once more in NumPy, float64: what the layers must equal.

Written from the papers' formulas, without any of the library's code.
"""

import math

import keras
import numpy as np


def randomise(layer, seed=0, scale=0.3):
    """Gives every trainable weight random values, biases included."""
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(scale=scale, size=weight.shape))


def weights(layer):
    """Returns a layer's weights by their path below the layer."""
    prefix = f"{layer.path}/"
    return {
        w.path.removeprefix(prefix): keras.ops.convert_to_numpy(w).astype(
            "float64"
        )
        for w in layer.weights
    }


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def layer_norm(x, gamma, beta):
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-6) * gamma + beta


def attention(x, weights, num_heads):
    kernel, bias, out_kernel, out_bias = weights
    width = x.shape[-1] // num_heads
    query, key, value = np.split(x @ kernel + bias, 3, axis=-1)
    heads = []
    for h in range(num_heads):
        q, k, v = (
            part[..., h * width : (h + 1) * width]
            for part in (query, key, value)
        )
        logits = q @ k.swapaxes(1, 2) / math.sqrt(width)
        heads.append(softmax(logits) @ v)
    return np.concatenate(heads, axis=-1) @ out_kernel + out_bias


def block(x, w, num_heads):
    normed = layer_norm(x, w["attention_norm/gamma"], w["attention_norm/beta"])
    x = x + attention(
        normed,
        [
            w[f"attention/{layer}/{kind}"]
            for layer in ("query_key_value", "projection")
            for kind in ("kernel", "bias")
        ],
        num_heads,
    )
    x_mlp = layer_norm(x, w["mlp_norm/gamma"], w["mlp_norm/beta"])
    x_mlp = gelu(x_mlp @ w["mlp_in/kernel"] + w["mlp_in/bias"])
    return x + x_mlp @ w["mlp_out/kernel"] + w["mlp_out/bias"]


def sub(w, prefix):
    """Returns the weights below a path, by the rest of it."""
    prefix += "/"
    return {k[len(prefix) :]: v for k, v in w.items() if k.startswith(prefix)}


def patchify(images, size):
    patches = []
    for image in images:
        rows = range(0, image.shape[0], size)
        columns = range(0, image.shape[1], size)
        patches.append(
            [
                image[r : r + size, c : c + size].ravel()
                for r in rows
                for c in columns
            ]
        )
    return np.array(patches, "float64")


def transformer(x, w, num_heads):
    num_blocks = len({k.split("/")[0] for k in w if k.startswith("block_")})
    for i in range(num_blocks):
        x = block(x, sub(w, f"block_{i}"), num_heads)
    return layer_norm(x, w["norm/gamma"], w["norm/beta"])


def mae(model, images, masked):
    """MAE's prediction, image by image as the paper tells it."""
    encoder, head = model.encoder, model.head
    w, h = weights(encoder), weights(head)
    embed = sub(w, "patch_embedding/projection")
    positions = w["position_embedding/positions/table"][0]
    predictions = []
    for image, hidden in zip(images, masked):
        x = patchify(image[None], encoder.patch_size)[0]
        x = x @ embed["kernel"] + embed["bias"] + positions[1:]
        first = w["position_embedding/class_token/token"][0] + positions[:1]
        x = np.concatenate([first, x[~hidden]])[None]
        x = transformer(x, w, encoder.num_heads)[0]
        x = x @ h["embedding/kernel"] + h["embedding/bias"]
        full = np.tile(h["restore_tokens/token"][0], (len(hidden), 1))
        full[~hidden] = x[1:]
        x = np.concatenate([x[:1], full]) + h["position_embedding/table"][0]
        x = transformer(x[None], h, head.num_heads)[0, 1:]
        predictions.append(x @ h["prediction/kernel"] + h["prediction/bias"])
    return np.array(predictions)


def mae_with_mask_tokens(model, images, masked):
    """MAE's with an encoder that sees mask tokens, table 1c of the paper."""
    h = weights(model.head)
    x = simmim_tokens(model, images, masked)
    x = x @ h["embedding/kernel"] + h["embedding/bias"]
    x = x + h["position_embedding/table"]
    x = transformer(x, h, model.head.num_heads)[:, 1:]
    return x @ h["prediction/kernel"] + h["prediction/bias"]


def simmim(model, images, masked):
    """SimMIM's prediction on a plain ViT."""
    h = weights(model.head)
    x = simmim_tokens(model, images, masked)[:, 1:]
    return x @ h["prediction/kernel"] + h["prediction/bias"]


def simmim_tokens(model, images, masked):
    """What a plain ViT makes of images with mask tokens."""
    encoder = model.encoder
    w = weights(encoder)
    x = patchify(images, encoder.patch_size)
    x = x @ w["patch_embedding/projection/kernel"]
    x = x + w["patch_embedding/projection/bias"]
    x[masked] = weights(model.mask_token)["token"][0, 0]
    token = w["position_embedding/class_token/token"]
    x = np.concatenate([np.repeat(token, len(x), 0), x], axis=1)
    x = x + w["position_embedding/positions/table"]
    return transformer(x, w, encoder.num_heads)
