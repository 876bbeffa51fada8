"""Swins, v1 and v2: Microsoft's files, SimMIM's, timm's and transformers'."""

from keras_mim.converters.layouts.layout import ADD_SIMMIM_PREFIX
from keras_mim.converters.layouts.layout import DROP_SIMMIM_PREFIX
from keras_mim.converters.layouts.swin_layout import SwinLayout
from keras_mim.encoders import Swin
from keras_mim.encoders import SwinV2

# timm merges patches at the start of a stage, not at the end.
TIMM_RULES = (
    (r"^head\.", "head.fc."),
    (
        r"^layers\.(\d+)\.downsample\.",
        lambda match: f"layers.{int(match[1]) + 1}.downsample.",
    ),
)

# Microsoft's name -> transformers', as in the files on its hub.
HF_RULES = (
    (r"^patch_embed\.proj\.", "swin.embeddings.patch_embeddings.projection."),
    (r"^patch_embed\.norm\.", "swin.embeddings.norm."),
    (r"^layers\.", "swin.encoder.layers."),
    (r"^norm\.", "swin.layernorm."),
    (r"^head\.", "classifier."),
    (r"^encoder\.mask_token$", "swin.embeddings.mask_token"),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.attn\.q_bias$", ".attention.self.query.bias"),
    (r"\.attn\.v_bias$", ".attention.self.value.bias"),
    (r"\.attn\.cpb_mlp\.", ".attention.self.continuous_position_bias_mlp."),
    (r"\.attn\.", ".attention.self."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)

# transformers' names in memory since version 5 -> those in its files, of which
# those of a bare `SwinModel` have no prefix.
HF_FILE_RULES = (
    (r"^(embeddings|encoder|layernorm)\.", r"swin.\1."),
    (r"\.attention\.q_proj\.", ".attention.self.query."),
    (r"\.attention\.k_proj\.", ".attention.self.key."),
    (r"\.attention\.v_proj\.", ".attention.self.value."),
    (r"\.attention\.o_proj\.", ".attention.output.dense."),
    (r"\.attention\.relative_position_bias\.", ".attention.self."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)
V2_RULE = (r"^swin\.", "swinv2.")

# Weights that timm and transformers have no place for.
EXTRA_NORM = r"decoder_|\.norm3\."


def _layouts(encoder_class):
    """Returns the layouts of a Swin, those that take any file at the end."""
    v2 = (V2_RULE,) if encoder_class is SwinV2 else ()
    bare = (DROP_SIMMIM_PREFIX,)
    hf = SwinLayout(
        "hf",
        encoder_class,
        rules=HF_RULES + v2,
        file_rules=HF_FILE_RULES + v2,
        no_place=EXTRA_NORM,
        splits_query_key_value=True,
        hallmark=f"{'swinv2' if v2 else 'swin'}.embeddings.norm.weight",
    )
    merging = "layers.0.downsample.norm.weight"
    microsoft = SwinLayout(
        "swin", encoder_class, file_rules=bare, hallmark=merging
    )
    simmim = SwinLayout(
        "simmim",
        encoder_class,
        rules=(ADD_SIMMIM_PREFIX,),
        hallmark=f"encoder.{merging}",
    )
    timm = SwinLayout(
        "timm", encoder_class, TIMM_RULES, file_rules=bare, no_place=EXTRA_NORM
    )
    return hf, microsoft, simmim, timm


SWIN = _layouts(Swin)
SWIN_V2 = _layouts(SwinV2)
