"""transformers' ViTMAE, ViT and ViTForMaskedImageModeling."""

from keras_mim.converters.layouts.vit_layout import ViTLayout

HF = ViTLayout(
    name="hf",
    # MAE's name -> transformers', as in the files on its hub.
    rules=(
        (r"^blocks\.", "vit.encoder.layer."),
        (r"^decoder_blocks\.", "decoder.decoder_layers."),
        (r"^cls_token$", "vit.embeddings.cls_token"),
        (r"^pos_embed$", "vit.embeddings.position_embeddings"),
        (
            r"^patch_embed\.proj\.",
            "vit.embeddings.patch_embeddings.projection.",
        ),
        (r"^norm\.", "vit.layernorm."),
        (r"^head\.", "classifier."),
        (r"^(mask_token|decoder_.*)$", r"decoder.\1"),
        (r"^encoder\.mask_token$", "vit.embeddings.mask_token"),
        (r"\.norm1\.", ".layernorm_before."),
        (r"\.norm2\.", ".layernorm_after."),
        (r"\.attn\.proj\.", ".attention.output.dense."),
        (r"\.attn\.(query|key|value)\.", r".attention.attention.\1."),
        (r"\.mlp\.fc1\.", ".intermediate.dense."),
        (r"\.mlp\.fc2\.", ".output.dense."),
    ),
    # Its names in memory since version 5 -> those in its files. The last mends
    # what that version writes for decoders.
    file_rules=(
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
    ),
    no_place=r"\.ls\d|relative_position|\.[qv]_bias|fc_norm",
    splits_query_key_value=True,
)
