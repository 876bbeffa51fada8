"""Published checkpoints into models that exist."""

from keras_mim.converters.checkpoint import Checkpoint
from keras_mim.converters.fill import fill
from keras_mim.converters.layouts import encoder_of
from keras_mim.converters.renaming import rename_all
from keras_mim.converters.swin_layout import hf_swin_arrays
from keras_mim.converters.swin_layout import is_swin_buffer as is_buffer
from keras_mim.encoders import Swin
from keras_mim.encoders import SwinV2

# transformers' names in memory since version 5 -> those in its files. The last
# but one mends what that version writes for decoders.
HF_RENAMED = (
    (r"^(embeddings|encoder|layers|layernorm|pooler)\.", r"vit.\1."),
    (r"^vit\.layers\.", "vit.encoder.layer."),
    (r"\.attention\.(query|key|value)\.", r".attention.attention.\1."),
    (r"\.attention\.attention\.attention\.", ".attention.attention."),
    (r"\.attention\.q_proj\.", ".attention.attention.query."),
    (r"\.attention\.k_proj\.", ".attention.attention.key."),
    (r"\.attention\.v_proj\.", ".attention.attention.value."),
    (r"\.attention\.o_proj\.", ".attention.output.dense."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
    (r"^decoder\.decoder_encoder\.layer\.", "decoder.decoder_layers."),
)

TABLE = "relative_position_bias_table"


def hf_arrays(arrays):
    """Renames arrays of transformers to the names in its published files."""
    return rename_all(arrays, HF_RENAMED)


def beit_arrays(arrays, encoder=None):
    """Drops what can be computed, and SimMIM's prefix, from BEiT's names.

    With an encoder that has a table per block, a shared one is handed to each.
    """
    renamed = {}
    for name, array in arrays.items():
        if is_buffer(name):
            continue
        if name != "encoder.mask_token":
            name = name.removeprefix("encoder.")
        renamed[name] = array
    if encoder is not None and encoder.positions == "relative":
        shared = f"rel_pos_bias.{TABLE}"
        if shared in renamed:
            table = renamed.pop(shared)
            for i in range(encoder.num_layers):
                renamed[f"blocks.{i}.attn.{TABLE}"] = table
    return renamed


def load_mae(
    model, checkpoint, allow_missing=(), grid=None, adapt_channels=False
):
    """Loads a checkpoint in the names of MAE's own files.

    Takes the files of facebookresearch/mae: `mae_pretrain_*` (the encoder
    alone), their `_full` kind and `mae_visualize_*` (with decoder), and
    `mae_finetuned_*`, which are those of a `keras_mim.transfer.Classifier`.
    (For the encoder alone build it with `positions="learned"` and
    `use_final_norm=False`.) timm's ViTs have the same names.

    Every weight of the model must be there, and everything in the file must
    have a place, except what follows the encoder when `model` is one. The
    model changes as a whole or not at all. Position tables fit any grid: the
    fixed ones are computed anew, learned ones resized bicubically.

    Args:
        model: `keras_mim.encoders.ViT`, or a `keras_mim.MAE` or
            `keras_mim.transfer.Classifier` of one.
        checkpoint: A path (PyTorch file, `.safetensors`, `.npz`) or a dict of
            arrays or torch tensors.
        allow_missing: tuple of str. Beginnings of names of weights that the
            checkpoint may lack; they stay as they are. Defaults to none.
        grid: tuple of int or `None`. `(height, width)` of the checkpoint in
            patches. `None` takes the model's if the number fits, else a
            square.
        adapt_channels: bool. Whether the patch kernel may be fitted to images
            with other channels: summed for one channel, else repeated and
            scaled by old / new (timm's rule). Defaults to `False`.

    Returns:
        `keras_mim.converters.Report`: what was loaded, unused, missing, and
        fitted.

    Raises:
        ValueError: If the checkpoint is damaged, holds code, has NaNs, or does
            not match the model; it names file, array and both shapes.
    """
    checkpoint = Checkpoint.read(checkpoint)
    return fill(
        model,
        checkpoint,
        checkpoint.arrays,
        "mae",
        allow_missing,
        grid,
        adapt_channels,
    )


def load_timm_vit(
    encoder, checkpoint, allow_missing=(), grid=None, adapt_channels=False
):
    """Loads a ViT of timm: `load_mae`, whose names timm shares.

    Build the encoder with `positions="learned"`, except for the `.mae` models,
    whose tables are sine-cosine; `layer_scale` where the model has it. timm's
    classifiers that pool the mean have no final norm: pass
    `allow_missing=("norm",)`.
    """
    return load_mae(encoder, checkpoint, allow_missing, grid, adapt_channels)


def load_beit(
    model, checkpoint, allow_missing=(), grid=None, adapt_channels=False
):
    """Loads BEiT's ViT, from its own files or timm's.

    Build the encoder with `positions="shared_relative"` for pre-trained files
    and `"relative"` for fine-tuned ones, `use_key_bias=False` and a
    `layer_scale`. A shared table also fills an encoder with one per block:
    each gets a copy. On another grid, tables are resized by SimMIM's geometric
    rule; this needs scipy.

    The arguments are those of `load_mae`.
    """
    checkpoint = Checkpoint.read(checkpoint)
    return fill(
        model,
        checkpoint,
        beit_arrays(checkpoint.arrays, encoder_of(model)),
        "beit",
        allow_missing,
        grid,
        adapt_channels,
    )


def load_simmim(
    model, checkpoint, allow_missing=(), grid=None, adapt_channels=False
):
    """Loads a ViT or a Swin (v1 or v2) of microsoft/SimMIM.

    Pre-trained files go into a `keras_mim.SimMIM` or its encoder, fine-tuned
    ones into a `keras_mim.transfer.Classifier` or its encoder. ViTs are BEiT's
    (`load_beit`): pre-trained with `positions="shared_relative"`, fine-tuned
    with `"relative"` and `use_final_norm=False`. A Swin may have other windows
    than the checkpoint: tables are resized by SimMIM's geometric rule.

    The arguments are those of `load_mae`.
    """
    swin = isinstance(encoder_of(model), (Swin, SwinV2))
    load = load_swin if swin else load_beit
    return load(model, checkpoint, allow_missing, grid, adapt_channels)


def load_swin(
    model, checkpoint, allow_missing=(), grid=None, adapt_channels=False
):
    """Loads a Swin: Microsoft's files, SimMIM's, timm's or transformers'.

    Which of them it is shows in the names. transformers'
    `SwinForMaskedImageModeling` goes into a `keras_mim.SimMIM`.

    Likewise a Swin v2. It may have any window and image, for none of its
    weights depends on them: build it with the `pretrained_window_sizes` of the
    checkpoint, or those of its windows where they were as large as now.

    The arguments are those of `load_mae`; `grid` means nothing here.
    """
    checkpoint = Checkpoint.read(checkpoint)
    arrays, layout = swin_arrays(checkpoint)
    return fill(
        model,
        checkpoint,
        arrays,
        layout,
        allow_missing,
        adapt_channels=adapt_channels,
    )


def swin_arrays(checkpoint):
    """Returns a Swin's arrays and the layout that their names give away."""
    arrays = {k: v for k, v in checkpoint.arrays.items() if not is_buffer(k)}
    renamed = hf_swin_arrays(arrays)
    if {"swin.embeddings.norm.weight", "swinv2.embeddings.norm.weight"} & set(
        renamed
    ):
        return renamed, "hf"
    arrays = beit_arrays(arrays)
    at_start = "layers.0.downsample.norm.weight" not in arrays
    return arrays, "timm" if at_start else "swin"


def load_hf_vit_mae(
    model, checkpoint, allow_missing=(), grid=None, adapt_channels=False
):
    """Loads transformers' `ViTMAEForPreTraining` or `ViTMAEModel`.

    Takes its safetensors or `.bin` files, a folder as `save_pretrained` writes
    it, `"hf://owner/name"`, or a state dict. Their layer norms have epsilon
    1e-12, ours MAE's 1e-6: outputs differ by about that much.

    The arguments are those of `load_mae`.
    """
    checkpoint = Checkpoint.read(checkpoint)
    return fill(
        model,
        checkpoint,
        hf_arrays(checkpoint.arrays),
        "hf",
        allow_missing,
        grid,
        adapt_channels,
    )


def load_hf_vit(
    model, checkpoint, allow_missing=(), grid=None, adapt_channels=False
):
    """Loads transformers' `ViTModel` and its relatives.

    `ViTForMaskedImageModeling` goes into a `keras_mim.SimMIM`, every one of
    them into its encoder; build that with `positions="learned"`.

    The arguments are those of `load_mae`, the checkpoint as for
    `load_hf_vit_mae`.
    """
    return load_hf_vit_mae(
        model, checkpoint, allow_missing, grid, adapt_channels
    )
