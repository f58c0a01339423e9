"""Checkpoints that are published as torch's own files: their tensors are kept, and nothing in them is run."""

from __future__ import annotations

from pathlib import Path


def tensors_to_safetensors(source: Path, target: Path) -> None:
    """Write the tensors of a ``.pth`` file, a mapping of names to tensors, as safetensors."""
    import torch
    from safetensors.torch import save_file

    tensors = torch.load(source, map_location="cpu", weights_only=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, target)
