"""The peers that are trained beside ours: modules from images to the loss."""

import torch
from torch import nn

from harness import workloads


def device():
    return "cuda" if torch.cuda.is_available() else "cpu"


def pick(tokens, index):
    """Returns the tokens `(batch, num, dim)` at `index` `(batch, picked)`."""
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))


def as_cells(images, side):
    """Cuts images `(batch, 3, height, width)` into a row of square cells."""
    x = images.unfold(2, side, side).unfold(3, side, side)
    return x.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)


def pixel_error(prediction, images, patch_size, hidden):
    """MAE's loss, of predictions for the patches that `hidden` names."""
    target = pick(as_cells(images, patch_size), hidden)
    variance, mean = torch.var_mean(target, -1, keepdim=True)
    target = (target - mean) / (variance + 1e-6) ** 0.5
    return (prediction.float() - target).square().mean()


class TransformersMAE(nn.Module):
    def __init__(self, of):
        import transformers

        super().__init__()
        width, depth, heads = of.decoder
        config = transformers.ViTMAEConfig(
            image_size=of.side,
            patch_size=of.patch_size,
            hidden_size=of.dim,
            num_hidden_layers=of.depth,
            num_attention_heads=of.heads,
            intermediate_size=4 * of.dim,
            decoder_hidden_size=width,
            decoder_num_hidden_layers=depth,
            decoder_num_attention_heads=heads,
            decoder_intermediate_size=4 * width,
            mask_ratio=of.mask_ratio,
            norm_pix_loss=True,
        )
        self.model = transformers.ViTMAEForPreTraining(config)

    def forward(self, images):
        return self.model(pixel_values=images).loss


class TransformersSimMIM(nn.Module):
    def __init__(self, of):
        import transformers

        super().__init__()
        self.of = of
        config = transformers.SwinConfig(
            image_size=of.side,
            embed_dim=of.dim,
            depths=list(of.depths),
            num_heads=list(of.heads),
            window_size=of.window_size,
            drop_path_rate=0.0,
        )
        self.model = transformers.SwinForMaskedImageModeling(config)

    def forward(self, images):
        # Cells of 8 x 8 patches each.
        cells = hide_cells(images, self.of)
        hidden = cells.repeat_interleave(8, 1).repeat_interleave(8, 2)
        return self.model(images, bool_masked_pos=hidden.flatten(1)).loss


class TimmMAE(nn.Module):
    """MAE put together from timm's parts; `pick` shortens the sequence."""

    def __init__(self, of):
        from timm.layers import PatchEmbed
        from timm.models.vision_transformer import Block

        def blocks(dim, depth, heads):
            of_all = [Block(dim, heads, qkv_bias=True) for _ in range(depth)]
            return nn.Sequential(*of_all, nn.LayerNorm(dim, eps=1e-6))

        def fixed(dim):
            # Sines and cosines cost no more than these.
            return nn.Parameter(torch.randn(1, of.num_patches, dim), False)

        super().__init__()
        self.of = of
        width = of.decoder[0]
        self.embed = PatchEmbed(of.side, of.patch_size, 3, of.dim)
        self.positions, self.decoder_positions = fixed(of.dim), fixed(width)
        self.class_token = nn.Parameter(torch.zeros(1, 1, of.dim))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.encoder = blocks(of.dim, of.depth, of.heads)
        self.widen = nn.Linear(of.dim, width)
        self.decoder = blocks(*of.decoder)
        self.predict = nn.Linear(width, 3 * of.patch_size**2)

    def forward(self, images):
        number = len(images)
        patches = self.embed(images) + self.positions
        order = torch.rand(patches.shape[:2], device=images.device).argsort(1)
        visible, hidden = order.tensor_split([self.of.num_visible], 1)
        class_token = self.class_token.expand(number, -1, -1)
        x = torch.cat([class_token, pick(patches, visible)], 1)
        x = self.widen(self.encoder(x))
        # The decoder does not mind the order: positions go along with tokens.
        masked = self.mask_token.expand(*hidden.shape, -1)
        positions = self.decoder_positions.expand(number, -1, -1)
        patches = torch.cat([x[:, 1:], masked], 1) + pick(positions, order)
        x = self.decoder(torch.cat([x[:, :1], patches], 1))
        x = self.predict(x[:, 1 + visible.shape[1] :])
        return pixel_error(x, images, self.of.patch_size, hidden)


class LightlyMAE(nn.Module):
    def __init__(self, of):
        from lightly.models import modules
        from timm.models.vision_transformer import VisionTransformer

        super().__init__()
        self.of = of
        width, depth, heads = of.decoder
        vit = VisionTransformer(
            of.side,
            of.patch_size,
            num_classes=0,
            embed_dim=of.dim,
            depth=of.depth,
            num_heads=of.heads,
        )
        self.encoder = modules.MaskedVisionTransformerTIMM(vit)
        self.widen = nn.Linear(of.dim, width)
        self.decoder = modules.MaskedVisionTransformerDecoderTIMM(
            of.num_patches, width, depth, heads
        )
        self.predict = nn.Linear(width, 3 * of.patch_size**2)

    def forward(self, images):
        from lightly.models import utils

        shape = (len(images), self.encoder.sequence_length)
        visible, hidden = utils.random_token_mask(
            shape, self.of.mask_ratio, device=images.device
        )
        x = self.widen(self.encoder.encode(images, idx_keep=visible))
        masked = self.decoder.mask_token.expand(*shape, -1).to(x.dtype)
        x = self.decoder(utils.set_at_index(masked, visible, x))
        x = self.predict(utils.get_at_index(x, hidden))
        # The class token is not among the patches.
        return pixel_error(x, images, self.of.patch_size, hidden - 1)


class TimmSimMIM(nn.Module):
    """SimMIM around timm's Swin."""

    def __init__(self, of):
        from timm.models.swin_transformer import SwinTransformer

        super().__init__()
        self.of = of
        self.swin = SwinTransformer(
            of.side,
            embed_dim=of.dim,
            depths=of.depths,
            num_heads=of.heads,
            window_size=of.window_size,
            num_classes=0,
            drop_path_rate=0.0,
        )
        self.mask_token = nn.Parameter(torch.zeros(of.dim))
        self.predict = nn.Linear(self.swin.num_features, 3 * 32**2)

    def forward(self, images):
        cells = hide_cells(images, self.of)
        hidden = cells.repeat_interleave(8, 1).repeat_interleave(8, 2)
        x = self.swin.patch_embed(images)
        x = torch.where(hidden[..., None], self.mask_token.to(x.dtype), x)
        x = self.predict(self.swin.norm(self.swin.layers(x)))
        error = (x.flatten(1, 2).float() - as_cells(images, 32)).abs().mean(-1)
        return (error * cells.flatten(1)).sum() / cells.sum()


def hide_cells(images, of):
    """Returns a boolean `(batch, side // 32, side // 32)`, `True` = hidden."""
    side = of.side // 32
    noise = torch.rand(len(images), side**2, device=images.device)
    hidden = noise.argsort(1).argsort(1) < of.num_hidden_cells
    return hidden.reshape(-1, side, side)


PEERS = {
    "transformers": (TransformersMAE, TransformersSimMIM),
    "timm": (TimmMAE, TimmSimMIM),
    "lightly": (LightlyMAE, None),
}


def make(peer, workload):
    """Builds a peer's model for a workload.

    Args:
        peer: str. One of `PEERS`.
        workload: one of `workloads.MODELS`.

    Returns:
        A module from images `(batch, 3, side, side)` to the loss.
    """
    of_mae, of_simmim = PEERS[peer]
    if isinstance(workload, workloads.MAE):
        return of_mae(workload)
    if of_simmim is None:
        raise SystemExit(f"{peer} has no SimMIM with a Swin.")
    return of_simmim(workload)
