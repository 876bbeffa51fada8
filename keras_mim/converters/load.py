"""Published checkpoints into models that exist."""

import keras

from keras_mim._checks import check_flags
from keras_mim._checks import check_kind
from keras_mim.converters._assignment import assign
from keras_mim.converters._checkpoint import Checkpoint
from keras_mim.converters._checkpoint import check_load
from keras_mim.converters.layouts import BEIT
from keras_mim.converters.layouts import HF
from keras_mim.converters.layouts import MAE
from keras_mim.converters.layouts import SWINS
from keras_mim.converters.layouts import layouts_of


def _load(layouts, model, checkpoint, allow_missing, grid, adapt_channels):
    """Loads a checkpoint in the one of some layouts whose names it has."""
    check_kind(keras.Model, model=model)
    check_load(allow_missing, grid)
    check_flags(adapt_channels=adapt_channels)
    checkpoint = Checkpoint.read(checkpoint)
    candidates = [
        (layout.entries(model), layout.read(checkpoint, model))
        for layout in layouts_of(model, layouts)
    ]
    entries, checkpoint = max(
        candidates, key=lambda pair: len(pair[0].keys() & pair[1].arrays)
    )
    return assign(
        model, entries, checkpoint, allow_missing, grid, adapt_channels
    )


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
            arrays or torch tensors, in what a training script puts around
            them: keys (`"state_dict"`, `"model_ema"`, ...) and beginnings of
            names (`module.`, `_orig_mod.`, `backbone.`, ...) come off, and
            what stands beside the weights is reported as unused. Of several
            sets of weights the trained one is taken, with a warning; another
            by its name: `"file.pth#model_ema"`.
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
            not match the model; it names file, array and both shapes. Or if
            its configuration says that it computes otherwise, which its
            weights do not show: with another activation, for example.
    """
    return _load((MAE,), model, checkpoint, allow_missing, grid, adapt_channels)


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
    return _load(
        (BEIT,), model, checkpoint, allow_missing, grid, adapt_channels
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
    return _load(
        (*SWINS, BEIT), model, checkpoint, allow_missing, grid, adapt_channels
    )


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
    return _load(SWINS, model, checkpoint, allow_missing, grid, adapt_channels)


def load_hf_vit_mae(
    model, checkpoint, allow_missing=(), grid=None, adapt_channels=False
):
    """Loads transformers' `ViTMAEForPreTraining` or `ViTMAEModel`.

    Takes its safetensors or `.bin` files, a folder as `save_pretrained` writes
    it, `"hf://owner/name"`, or a state dict. Their layer norms have epsilon
    1e-12, ours MAE's 1e-6: outputs differ by about that much. A folder's
    configuration is compared with the model: another activation, epsilon or
    number of heads is refused, other statistics of the images are warned of.

    The arguments are those of `load_mae`.
    """
    return _load((HF,), model, checkpoint, allow_missing, grid, adapt_channels)


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
