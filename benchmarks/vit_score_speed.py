"""How long does the ViT-Score take, beside the way its inventor's script took?

The thesis ran the classifier twice for every pair of images, in float32. qbench looks at an original once, whatever
the number of operating points, and offers bfloat16. Both ways on a ViT-B/16 at 384×384 and images of 512×512, in one
process, in turns:

    python benchmarks/vit_score_speed.py [--rounds 3] [--device cpu]

The network's weights are random: its time does not depend on them. Seconds mean little on another machine; the
ratios, taken side by side, do.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage.data
import timm
import torch
from PIL import Image as PillowImage
from timm.models import save_for_hf

from qbench.plugin import Candidates, Context, Image, Pixels, Reference
from qbench_vit.score import VitScore, VitScoreParameters

POINTS = (1, 5, 10)


def reconstructions(original: Pixels, count: int) -> list[Pixels]:
    """Make so many different images out of one."""
    rng = np.random.default_rng(0)
    noise = [rng.normal(0, 3 * (n + 1), original.shape) for n in range(count)]
    return [np.clip(original + added, 0, 255).astype(np.uint8) for added in noise]


def as_the_thesis(network: torch.nn.Module, device: str) -> Callable[[Pixels, list[Pixels]], list[float]]:
    """Two forward passes a pair, each of one image, in float32."""

    def labels(pixels: Pixels) -> set[int]:
        small = np.asarray(PillowImage.fromarray(pixels).resize((384, 384), PillowImage.Resampling.BILINEAR))
        inputs = torch.from_numpy((small / 127.5 - 1).astype(np.float32)).permute(2, 0, 1)[None].to(device)
        with torch.inference_mode():
            return set(network(inputs)[0].topk(100).indices.tolist())

    return lambda original, others: [len(labels(original) & labels(other)) / 100 for other in others]


def as_qbench(metric: VitScore, device: str) -> Callable[[Pixels, list[Pixels]], list[float]]:
    """The original once."""

    def score(original: Pixels, others: list[Pixels]) -> list[float]:
        reference = Reference("image", Image(original), device)
        candidates = Candidates(reference, [Image(each) for each in others], [1] * len(others), device)
        return [result["vit-score"] for result in metric.score(candidates, metric.prepare(reference))]

    return score


def seconds(call: Callable[..., object], *arguments: object) -> float:
    """Time one call, on an accelerator until it has done all its work."""
    began = time.perf_counter()
    call(*arguments)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device = arguments.device
    original = skimage.data.astronaut()
    with tempfile.TemporaryDirectory() as folder:
        network = timm.create_model("vit_base_patch16_384").eval()
        save_for_hf(network, Path(folder) / "vit", safe_serialization=True)
        ways = {"two passes a pair, float32": as_the_thesis(network.to(device), device)}
        for precision in ("float32", "bfloat16"):
            settings = VitScoreParameters(
                model=str(Path(folder) / "vit"), k=100, preprocessing="thesis", precision=precision
            )
            ways[f"qbench, {precision}"] = as_qbench(VitScore(settings, Context(device)), device)
        for way in ways.values():
            way(original, reconstructions(original, 1))
        print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}, median of {arguments.rounds}")
        for points in POINTS:
            others = reconstructions(original, points)
            taken: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(arguments.rounds):
                for name, way in ways.items():
                    taken[name].append(seconds(way, original, others))
            middle = {name: statistics.median(values) for name, values in taken.items()}
            slowest = middle["two passes a pair, float32"]
            for name, value in middle.items():
                print(f"{points:3} operating points  {name:28} {value:7.2f} s  {slowest / value:5.2f}×")
        print("one pass over a batch, seconds an image:")
        for size in (1, 2, 4, 10):
            inputs = torch.rand(size, 3, 384, 384, device=device)
            with torch.inference_mode():
                middle_time = statistics.median(seconds(network, inputs) for _ in range(arguments.rounds))
            print(f"  batch of {size:2}: {middle_time / size:.3f}")


if __name__ == "__main__":
    main()
