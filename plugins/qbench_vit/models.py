"""Which classifier a name means, and where its weights are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from qbench.plugin import ModelError, Weights
from qbench_vit.network import describe

HUB_OWNER = "timm/"

BUNDLED = Weights(
    name="vit-tiny-imagenet",
    summary="small ViT at 64×64, 3.4 M parameters, trained on Tiny-ImageNet, 200 labels",
    source="package:qbench_vit/weights/vit-tiny-imagenet.safetensors",
    sha256="73c5b2d3c84d511b7002cb95c1bae4bcc138c355e579989d3874216877b53ac7",
    size=6839984,
    licence="Apache-2.0; trained on research data",
    provenance="this project's own `qbench train vit`; see its model card, docs/models/vit-tiny-imagenet.md",
    metadata={"labels": 200},
)

PUBLISHED = Weights(
    name="timm/vit_base_patch16_384.orig_in21k_ft_in1k",
    summary="ViT-B/16 at 384×384, trained on ImageNet-21k, fine-tuned on ImageNet-1k; the thesis's classifier",
    source="hf:timm/vit_base_patch16_384.orig_in21k_ft_in1k/model.safetensors",
    sha256="",  # as the hub declares it at the first pull
    size=0,
    licence="Apache-2.0",
    provenance="Dosovitskiy et al. 2021, “An image is worth 16×16 words”; converted to PyTorch for timm",
    metadata={"labels": 1000},
)


def timm_weights(name: str, *, labels: bool = True) -> Weights:
    """Describe the published weights of a timm model, ``architecture`` or ``architecture.tag``.

    Args:
        labels: refuse models that give features only.

    Raises:
        ModelError: timm has no such model, or none published on the hub; with the nearest names.
    """
    from timm.models import get_pretrained_cfg, list_models, list_pretrained

    if f"{HUB_OWNER}{name}" == PUBLISHED.name:
        return PUBLISHED
    found = get_pretrained_cfg(name, allow_unregistered=True)
    if found is None or not found.hf_hub_id:
        near = nearest(name, [*list_models(), *list_pretrained()])
        hint = f"; did you mean {near}?" if near else ""
        raise ModelError(f"timm has no published model `{name}`{hint}")
    if labels and not found.num_classes:
        raise ModelError(f"timm's {name} has no labels: it gives features only; choose a classifier")
    owner = str(found.hf_hub_id).removesuffix("/")
    return Weights(
        name=f"{HUB_OWNER}{found.architecture}{f'.{found.tag}' if found.tag else ''}",
        summary=f"timm's {found.architecture}, weights {found.tag or 'default'}, {found.num_classes or 'no'} labels",
        source=f"hf:{owner}/{found.hf_hub_filename or 'model.safetensors'}",
        sha256="",
        size=0,
        licence=str(found.license or "not stated"),
        provenance=str(found.origin_url or found.paper_ids or f"https://huggingface.co/{owner}"),
        metadata={"labels": int(found.num_classes or 0)},
    )


def nearest(name: str, known: list[str]) -> str:
    """Return up to three near misses, in backticks."""
    from difflib import get_close_matches

    return ", ".join(f"`{near}`" for near in get_close_matches(name, known, n=3, cutoff=0.6))


def local_weights(path: Path) -> Weights:
    """Describe a checkpoint of the user's own.

    Args:
        path: a file that ``qbench train vit`` wrote, or a folder with ``config.json`` and ``model.safetensors`` as
            timm saves it.

    Raises:
        ModelError: neither, or it can't be read.
    """
    if path.is_dir():
        config, file = path / "config.json", path / "model.safetensors"
        if not (config.is_file() and file.is_file()):
            raise ModelError(f"{path}: a model's folder holds config.json and model.safetensors, as timm saves them")
        try:
            settings = json.loads(config.read_text(encoding="utf-8"))
            labels = int(settings.get("num_classes") or settings["pretrained_cfg"]["num_classes"])
            summary = f"{settings['architecture']}, {path}"
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{config}: not a model's description as timm saves it ({error!r})") from error
        weights = Weights.local(file, summary, {"folder": str(path.resolve()), "labels": labels})
        # The description decides the values as much as the weights do.
        return replace(weights, name=f"{path.resolve().name}-{Weights.local(config, '').sha256[:8]}")
    return Weights.local(path, f"from {path}", {"labels": describe(path)[0].labels})
