import dataclasses
import functools
import math
import re

from keras_mim import layers
from keras_mim import targets
from keras_mim.converters._configuration import normalization_of
from keras_mim.converters._entries import Entry
from keras_mim.converters._entries import dense
from keras_mim.converters._entries import norm
from keras_mim.converters._entries import patches
from keras_mim.converters._entries import without_key_bias
from keras_mim.converters._resizing import is_sine_cosine
from keras_mim.converters.layouts.layout import Layout
from keras_mim.converters.layouts.layout import encoder_of
from keras_mim.encoders import ViT
from keras_mim.models import MAE

# Names of tables of relative positions: BEiT's, for all blocks or for each.
TABLE = "relative_position_bias_table"
SHARED = f"rel_pos_bias.{TABLE}"
FIRST = f"blocks.0.attn.{TABLE}"

# Attention heads leave no trace in most weights: the published ones by width.
NUM_HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16}
DECODER_HEADS = {512: 16}


@dataclasses.dataclass(frozen=True)
class ViTLayout(Layout):
    """How a family of checkpoints stores a ViT. MAE's names come first."""

    encoder_class: type = ViT

    def recognizes(self, checkpoint):
        names = self.read(checkpoint).arrays
        foreign = any(map(self.has_no_place, names))
        return self.name_of("patch_embed.proj.weight") in names and not foreign

    def read(self, checkpoint, model=None):
        checkpoint = super().read(checkpoint, model)
        table = checkpoint.arrays.get(SHARED)
        encoder = encoder_of(model)
        if table is None or encoder is None or encoder.positions != "relative":
            return checkpoint
        arrays = {k: v for k, v in checkpoint.arrays.items() if k != SHARED}
        for i in range(encoder.num_layers):
            arrays[f"blocks.{i}.attn.{TABLE}"] = table
        return dataclasses.replace(checkpoint, arrays=arrays)

    def encoder_entries(self, encoder):
        found = patches("patch_embed.proj", encoder.patch_embedding)
        if encoder.use_class_token:
            token = encoder.position_embedding.layers[0].token
            found["cls_token"] = Entry(token)
        if not encoder.position_biases:
            table = encoder.position_embedding.layers[-1]
            found["pos_embed"] = _positions(table)
        for i, bias in enumerate(encoder.position_biases):
            each = encoder.positions == "relative"
            name = f"blocks.{i}.attn.{TABLE}" if each else SHARED
            found[name] = Entry(bias.table, kind="relative", grid=bias.grid)
        for i, block in enumerate(encoder.blocks):
            found |= _block(f"blocks.{i}", block)
        if encoder.norm is None:
            return found
        return found | norm("norm", encoder.norm)

    def head_entries(self, model):
        if not isinstance(model, MAE):
            return super().head_entries(model)
        head = model.head
        if not isinstance(head, layers.MAEHead):
            raise ValueError(
                "Checkpoints of MAE hold the weights of `MAEHead`. Received: "
                f"head={head}"
            )
        found = {
            "mask_token": Entry(head.restore_tokens.token),
            "decoder_pos_embed": _positions(head.position_embedding),
            **dense("decoder_embed", head.embedding),
        }
        for i, block in enumerate(head.blocks):
            found |= _block(f"decoder_blocks.{i}", block)
        found |= norm("decoder_norm", head.norm)
        return found | dense("decoder_pred", head.prediction)

    def build_encoder(self, checkpoint, hints):
        config = checkpoint.config
        get = functools.partial(self.array, checkpoint)
        hidden_dim, channels, patch_size, _ = get(
            "patch_embed.proj.weight", rank=4
        ).shape
        has_class_token = self._holds(checkpoint, "cls_token")
        positions, grid, table = self._positions(
            checkpoint, hints.grid, patch_size, int(has_class_token)
        )
        num_heads = (
            hints.num_heads
            or config.get("num_attention_heads")
            or (config.get("model_args") or {}).get("num_heads")
        )
        if not num_heads and "relative" in positions:
            num_heads = table.shape[-1]  # It has a column for every head.
        norm_name = self.name_of("norm.weight")
        image_shape = hints.image_shape or (
            grid[0] * patch_size,
            grid[1] * patch_size,
            channels,
        )
        encoder = ViT(
            image_shape,
            patch_size,
            hidden_dim,
            self._depth(checkpoint, "blocks."),
            num_heads or _known(NUM_HEADS, hidden_dim, "num_heads"),
            get("blocks.0.mlp.fc1.weight", rank=2).shape[0],
            use_class_token=has_class_token,
            positions=positions,
            # The value does not matter: the checkpoint's replaces it.
            layer_scale=1.0
            if self._holds(checkpoint, "blocks.0.ls1.gamma")
            else None,
            use_key_bias=not self._holds(checkpoint, "blocks.0.attn.q_bias"),
            use_final_norm=self._holds(checkpoint, "norm.weight")
            or self._holds(checkpoint, "norm.bias")
            or norm_name.startswith(tuple(hints.allow_missing)),
            normalization=normalization_of(checkpoint, image_shape[-1]),
        )
        return encoder, grid

    def build_model(self, encoder, checkpoint, hints):
        if not self._holds(checkpoint, "decoder_embed.weight"):
            return super().build_model(encoder, checkpoint, hints)
        config, normalize = checkpoint.config, hints.normalize
        if normalize is None:
            raw = "mae_visualize" in checkpoint.source
            normalize = config.get("norm_pix_loss", not raw)
        get = functools.partial(self.array, checkpoint, rank=2)
        hidden_dim, _ = get("decoder_embed.weight").shape
        head = layers.MAEHead(
            hidden_dim,
            self._depth(checkpoint, "decoder_blocks."),
            hints.decoder_num_heads
            or config.get("decoder_num_attention_heads")
            or _known(DECODER_HEADS, hidden_dim, "decoder_num_heads"),
            get("decoder_blocks.0.mlp.fc1.weight").shape[0],
        )
        target = targets.PixelTarget(normalize=normalize)
        return MAE(encoder, head=head, target=target)

    def _holds(self, checkpoint, name):
        return self.name_of(name) in checkpoint.arrays

    def _depth(self, checkpoint, blocks):
        """Returns the number of blocks under a name such as `"blocks."`."""
        pattern = re.compile(re.escape(self.name_of(blocks)) + r"(\d+)\.")
        numbers = [pattern.match(name) for name in checkpoint.arrays]
        return 1 + max((int(m[1]) for m in numbers if m), default=-1)

    def _positions(self, checkpoint, grid, patch_size, num_prefix_tokens):
        """Returns the kind of positions, the grid, and their table."""
        size = checkpoint.config.get("image_size")
        if size is not None and grid is None:
            pair = size if isinstance(size, (list, tuple)) else (size, size)
            grid = tuple(side // patch_size for side in pair)
        for kind, name in (("shared_relative", SHARED), ("relative", FIRST)):
            if self._holds(checkpoint, name):
                table = self.array(checkpoint, name, rank=2)
                offsets = max(len(table) - 3 * num_prefix_tokens, 0)
                side = (math.isqrt(offsets) + 1) // 2
                return kind, grid or (side, side), table
        table = self.array(checkpoint, "pos_embed", rank=3)
        num_patches = table.shape[1] - num_prefix_tokens
        if grid is None:
            side = math.isqrt(max(num_patches, 0))
            grid = side, side
        if math.prod(grid) != num_patches:
            raise ValueError(
                f"{checkpoint.source} is of {num_patches} patches. Pass its "
                f"grid, (height, width) in patches. Received: grid={grid}"
            )
        fixed = is_sine_cosine(table, grid, num_prefix_tokens)
        return "sine_cosine" if fixed else "learned", grid, table


def _block(prefix, block):
    attention = block.attention
    if attention.use_key_bias:
        qkv = dense(f"{prefix}.attn.qkv", attention.query_key_value)
    else:
        qkv = without_key_bias(f"{prefix}.attn", attention)
    found = {
        **norm(f"{prefix}.norm1", block.attention_norm),
        **qkv,
        **dense(f"{prefix}.attn.proj", attention.projection),
        **norm(f"{prefix}.norm2", block.mlp_norm),
        **dense(f"{prefix}.mlp.fc1", block.mlp_in),
        **dense(f"{prefix}.mlp.fc2", block.mlp_out),
    }
    ends = (block.attention_branch_end, block.mlp_branch_end)
    for i, end in enumerate(ends, 1):
        for layer in end:
            if isinstance(layer, layers.LayerScale):
                found[f"{prefix}.ls{i}.gamma"] = Entry(layer.gamma)
    return found


def _positions(layer):
    return Entry(layer.table, kind=layer.kind, grid=layer.grid)


def _known(num_heads, width, name):
    if width not in num_heads:
        raise ValueError(
            f"`{name}` cannot be read off the arrays, and a width of {width} "
            f"is none of the published {sorted(num_heads)}: pass it. "
            f"Received: {name}=None"
        )
    return num_heads[width]
