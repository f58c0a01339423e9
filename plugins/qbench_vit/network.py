"""The bundled vision transformer: timm's, behind a short convolutional stem."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qbench.plugin import ModelError
from qbench.toolkit.networks import expecting, read_metadata

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Shape:
    """All that decides the network's tensors.

    Attributes:
        size: side of the square input in pixels; the stem makes tokens of 8×8 pixels.
        width, depth, heads: of the transformer.
        labels: how many there are.
    """

    size: int = 64
    width: int = 192
    depth: int = 7
    heads: int = 3
    labels: int = 200


def describe(path: Path) -> tuple[Shape, tuple[str, ...]]:
    """Return shape and label names from a safetensors file that ``qbench train vit`` wrote.

    Raises:
        ModelError: it is something else.
    """
    with expecting(path, "vit"):
        metadata = read_metadata(path)
        if "shape" not in metadata:
            raise ModelError(
                f"{path}: does not say what network it is for; give a file that `qbench train vit` wrote, or a folder "
                "with config.json and model.safetensors as timm saves them"
            )
        return Shape(**metadata["shape"]), tuple(metadata["labels"])


def build(shape: Shape, *, drop_path: float = 0.0) -> torch.nn.Module:
    """Build the network: N×3×size×size, normalised with mean 0.5 and deviation 0.5 → logits N×labels.

    Three strided convolutions replace the patch embedding: small transformers train faster and better behind them
    (Xiao et al. 2021, “Early convolutions help transformers see better”).
    """
    from timm.models.vision_transformer import VisionTransformer
    from torch import nn

    class Stem(nn.Module):
        """Three 3×3 convolutions of stride 2, then a 1×1: N×3×S×S → N×(S/8)²×width."""

        def __init__(self, img_size: int, embed_dim: int, in_chans: int = 3, **others: Any) -> None:
            super().__init__()
            self.grid_size = (img_size // 8, img_size // 8)
            self.num_patches = self.grid_size[0] * self.grid_size[1]
            channels = [in_chans, embed_dim // 4, embed_dim // 2, embed_dim]
            layers: list[nn.Module] = []
            for before, after in pairwise(channels):
                layers += [
                    nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                    nn.BatchNorm2d(after),
                    nn.GELU(),
                ]
            self.layers = nn.Sequential(*layers, nn.Conv2d(embed_dim, embed_dim, 1))

        def feat_ratio(self) -> int:
            return 8

        def dynamic_feat_size(self, size: tuple[int, int]) -> tuple[int, int]:
            return size[0] // 8, size[1] // 8

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.layers(images).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]

    network: nn.Module = VisionTransformer(
        img_size=shape.size,
        patch_size=8,
        embed_dim=shape.width,
        depth=shape.depth,
        num_heads=shape.heads,
        num_classes=shape.labels,
        class_token=False,
        global_pool="avg",
        drop_path_rate=drop_path,
        embed_layer=Stem,
    )
    return network
