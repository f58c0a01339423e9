"""An autoencoder small enough to be run in no time; its weights are random."""

from __future__ import annotations

import json
from dataclasses import asdict

import torch
from safetensors.torch import save_file

from qbench_autoencoder.network import Shape, build

SMALL = Shape(widths=(8, 8, 16), blocks=(1, 1, 1, 1), latent=16, hyper=8, features=16)


def networks(seed=0, shape=SMALL, strength=30):
    torch.manual_seed(seed)
    made = build(shape)
    with torch.no_grad():
        for layer in (made["analysis"].network[-1], made["synthesis"].network[-2]):
            layer.weight += 0.1 * torch.randn_like(layer.weight)
        made["analysis"].linear[1].weight *= strength  # so that there is something to code
        made["scales"]["gains"] += torch.linspace(-1, 1, shape.levels)[:, None]
        made["scales"]["inverse_gains"] -= torch.linspace(-1, 1, shape.levels)[:, None]
    return made.eval()


def save(path, seed=0, shape=SMALL, strength=30):
    state = {name: tensor.contiguous() for name, tensor in networks(seed, shape, strength).state_dict().items()}
    described = {"shape": json.dumps(asdict(shape)), "hyper_tables": json.dumps([20] * shape.hyper)}
    save_file(state, path, described)
    return path
