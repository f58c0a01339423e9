"""The codec, on a generator small enough to be searched in no time."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from pydantic import ValidationError
from small_generator import Small, save, smooth
from torch import nn

import qbench
from qbench.plugin import BitstreamError, Context, Image, ModelError, PluginError, QbenchError
from qbench.reporting.notation import model_lines
from qbench_gan.codec import GanInversion
from qbench_gan.generators import ScriptedGenerator
from qbench_gan.inversion import Plateau, Search, search
from qbench_gan.inverter import Inverter
from qbench_gan.settings import InversionParameters

FAST = {"iterations": 150, "rate": 0.1, "refine": 20}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A TorchScript file with a small generator."""
    return save(tmp_path_factory.mktemp("generator"))


def codec(small, *, seed=0, profile="bundled", **parameters):
    settings = InversionParameters(generator=str(small), **{**FAST, **parameters})
    return GanInversion(settings, Context(seed=seed, profile=profile))


def psnr(one, other):
    return 10 * np.log10(255**2 / np.mean((np.asarray(one, float) - np.asarray(other)) ** 2))


@pytest.mark.parametrize("mode", ["whole", "tile"])
@pytest.mark.parametrize("coder", ["uniform", "qsgd"])
def test_finds_images_that_the_generator_can_draw(small, mode, coder):
    pixels = smooth(16, 16)
    made = codec(small, mode=mode, coder=coder, bits=8, overlap=4)
    back = codec(small).decode(made.encode(Image(pixels)))
    assert back.shape == pixels.shape
    assert psnr(back, pixels) > 30


def test_more_bits_cost_more_and_are_nearer(small):
    pixels = smooth(16, 16)
    coded = [codec(small, bits=bits).encode(Image(pixels)) for bits in (1, 2, 4, 8)]
    sizes = [len(bits) for bits in coded]
    near = [psnr(codec(small).decode(bits), pixels) for bits in coded]
    assert sizes == sorted(set(sizes))
    assert near == sorted(near)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 17), (90, 70)])
@pytest.mark.parametrize("mode", ["whole", "tile"])
def test_any_size(small, size, mode):
    pixels = smooth(*size)
    made = codec(small, mode=mode, iterations=5, refine=2)
    assert codec(small).decode(made.encode(Image(pixels))).shape == pixels.shape


def test_tiles_of_a_large_image_are_nearer_than_one_latent(small):
    pixels = smooth(64, 64, waves=6)
    near = [
        psnr(codec(small).decode(codec(small, mode=mode).encode(Image(pixels))), pixels) for mode in ("whole", "tile")
    ]
    assert near[1] > near[0] + 3


def test_the_same_seed_gives_the_same_bytes_another_others(small):
    pixels = smooth(20, 20)
    first = codec(small, coder="qsgd", restarts=3).encode(Image(pixels))
    assert codec(small, coder="qsgd", restarts=3).encode(Image(pixels)) == first
    assert codec(small, coder="qsgd", restarts=3, seed=1).encode(Image(pixels)) != first


def test_decodes_in_a_fresh_process_to_the_same_pixels(small, tmp_path):
    pixels = smooth(40, 30)
    bitstream = codec(small, mode="tile", overlap=3).encode(Image(pixels))
    here = codec(small).decode(bitstream)
    (tmp_path / "b.gan").write_bytes(bitstream)
    program = (
        "import sys, torch\nfrom pathlib import Path\nfrom PIL import Image\nfrom qbench.plugin import Context\n"
        "from qbench_gan.codec import GanInversion\nfrom qbench_gan.settings import InversionParameters\n"
        "torch.set_num_threads(1)\n"
        "codec = GanInversion(InversionParameters(generator=sys.argv[1]), Context())\n"
        "Image.fromarray(codec.decode(Path(sys.argv[2]).read_bytes()).pixels).save(sys.argv[3])\n"
    )
    command = [sys.executable, "-c", program, str(small), str(tmp_path / "b.gan"), str(tmp_path / "there.png")]
    subprocess.run(command, check=True, timeout=120)
    assert np.array_equal(np.asarray(PillowImage.open(tmp_path / "there.png")), here)


@pytest.mark.parametrize("settings", [{}, {"mode": "tile", "overlap": 2}, {"coder": "qsgd", "bits": 3}])
def test_damaged_bitstreams_give_an_image_or_a_typed_error(small, settings):
    whole = codec(small, iterations=3, refine=0, **settings).encode(Image(smooth(20, 18)))
    decoder = codec(small)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(700):
        damaged = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        # Sides are left alone: an image of 65,536² pixels is a right answer to a header that asks for it.
        damaged[2:6] = whole[2:6]
        cut = bytes(damaged[: rng.integers(len(damaged) + 1)])
        for candidate in (bytes(damaged), cut):
            try:
                assert decoder.decode(candidate).shape == (18, 20, 3)
            except BitstreamError:
                refused += 1
    assert refused > 100


def test_another_generators_bitstream_is_refused(small, tmp_path):
    other = save(tmp_path, network=Small(), low=0)
    with pytest.raises(BitstreamError, match="encoded with a generator other than scripted, or with other weights"):
        codec(other).decode(codec(small, iterations=1, refine=0).encode(Image(smooth(16, 16))))


def test_optimisers_starts_and_restarts_all_get_there(small):
    pixels = smooth(16, 16)
    for settings in (
        {"optimiser": "sgd", "rate": 10.0, "patience": 10},
        {"optimiser": "lbfgs", "rate": 1.0, "start": "mean"},
        {"optimiser": "adam", "start": "mean"},
        {"optimiser": "adam", "start": "random", "restarts": 4},
    ):
        assert psnr(codec(small).decode(codec(small, bits=8, **settings).encode(Image(pixels))), pixels) > 25, settings


def test_restarts_keep_the_best(small):
    generator = ScriptedGenerator(small)
    inverter = Inverter(generator, {"mse": 1.0}, Context())
    targets = np.stack([smooth(16, 16), smooth(16, 16, waves=2)])
    how = Search(iterations=4, rate=0.1)
    draws = np.random.default_rng(5).standard_normal((2, 6, 24)).astype(np.float32)
    given = draws.copy()
    inverter.find(targets, draws, how, "mean")
    assert np.array_equal(draws, given)
    together = inverter.find(targets, draws, how, "random")
    each = [inverter.find(targets, draws[:, restart : restart + 1], how, "random").losses for restart in range(6)]
    assert torch.allclose(together.losses, torch.stack(each).min(dim=0).values, atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"optimiser": "sgd", "rate": 10.0, "patience": 5, "stop_after": 2}])
def test_several_images_at_once_are_each_found_as_if_alone(small, settings):
    originals = [smooth(16, 16), smooth(30, 20, waves=3), smooth(9, 40)]
    made = codec(small, restarts=2, bits=4, **settings)
    together = made.encode_batch([Image(each) for each in originals])
    for bitstream, pixels in zip(together, originals, strict=True):
        alone = made.decode(made.encode(Image(pixels)))
        assert made.decode(bitstream).shape == pixels.shape
        assert psnr(made.decode(bitstream), pixels) == pytest.approx(psnr(alone, pixels), abs=0.5)


def test_rates_fall_as_torchs_own_do():
    losses = [3, 2, 2, 2, 2, 1.5, 1.6, 1.5, 1.4999, 1.49995, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    how = Search("sgd", rate=0.5, patience=2)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=how.rate)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.1, patience=2, threshold=how.threshold)
    plateau = Plateau(torch.zeros(2, 5), how)
    for loss in losses:
        reference.step(loss)
        assert not plateau.step(torch.tensor([1.0, loss]))
        assert float(plateau.rates[1]) == pytest.approx(optimiser.param_groups[0]["lr"])


def test_out_of_memory_goes_on_with_fewer_at_a_time(small, monkeypatch):
    targets = np.stack([smooth(16, 16, waves=waves) for waves in range(1, 6)])
    draws = np.random.default_rng(0).standard_normal((5, 1, 24)).astype(np.float32)
    told = []
    inverter = Inverter(ScriptedGenerator(small), {"mse": 1.0}, Context(notice=told.append))
    expected = inverter.find(targets, draws, Search(iterations=3), "random")
    network = inverter._network

    def too_large(latents):
        if len(latents) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return network(latents)

    monkeypatch.setattr(inverter, "_network", too_large)
    found = inverter.find(targets, draws, Search(iterations=3), "random")
    assert torch.allclose(found.losses, expected.losses, atol=1e-5)
    assert inverter.batch == 2
    assert "continuing with 2 at a time" in told[-1]
    inverter._batch = 64
    refined = inverter.refine(found.latents.numpy(), targets, 0.5, 3)
    assert refined.shape == (5, 24)
    monkeypatch.setattr(inverter, "_network", lambda latents: too_large(latents.repeat(3, 1)))
    with pytest.raises(QbenchError, match="one image with 1 start does not fit into the memory of cpu"):
        inverter.find(targets, draws, Search(iterations=3), "random")


def test_a_search_keeps_its_best_iteration_and_stops_as_told(small):
    distance = lambda values: values.square().sum(dim=1)  # noqa: E731
    start = torch.full((2, 3), 4.0)
    found = search(start, lambda values: values, distance, Search("sgd", 40, rate=1.2, snapshots=10))
    assert found.losses.max() <= distance(start).max()
    assert torch.allclose(distance(found.latents), found.losses)
    assert sorted(found.snapshots) == [0, 10, 20, 30, 40]
    assert len(found.history) == 41
    stopped = search(start, lambda values: values, distance, Search("sgd", 5000, rate=0.1, patience=5, stop_after=2))
    assert len(stopped.history) < 1000
    assert stopped.losses.max() < 1e-3
    hurried = search(start, lambda values: values, distance, Search("adam", 10**6, rate=0.01, seconds=0.05))
    assert len(hurried.history) < 10**5


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_each_candidate_moves_as_torch_would_move_it_alone(kind):
    def distance(values):
        return (values * torch.arange(1.0, 6.0)).square().sum(dim=1).sqrt()

    start = torch.randn(4, 5, generator=torch.Generator().manual_seed(3))
    how = Search(kind, 60, rate=0.05, patience=4, snapshots=60)
    found = search(start, lambda values: values, distance, how)
    for index in range(len(start)):
        row = start[index : index + 1].clone().requires_grad_(True)
        make = {"sgd": lambda row=row: torch.optim.SGD([row], lr=0.05, momentum=0.9), "adam": torch.optim.Adam}[kind]
        optimiser = make() if kind == "sgd" else make([row], lr=0.05)
        rates = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.1, patience=4, threshold=how.threshold)
        for _ in range(60):
            optimiser.zero_grad()
            loss = distance(row).sum()
            loss.backward()
            optimiser.step()
            rates.step(loss.item())
        assert torch.allclose(found.snapshots[60][index], row[0], rtol=1e-6, atol=1e-7)


def test_one_candidate_without_a_number_does_not_stop_the_others():
    def distance(values):
        return torch.where(values[:, 0] > 100, torch.nan, 1.0) * values.square().sum(dim=1)

    start = torch.tensor([[200.0, 1.0], [2.0, 1.0]])
    found = search(start, lambda values: values, distance, Search("adam", 100, rate=0.1))
    assert torch.isinf(found.losses[0])
    assert found.losses[1] < 0.1
    with pytest.raises(FloatingPointError, match="NaN or infinite from the start"):
        search(start[:1], lambda values: values, distance, Search("adam", 10, rate=0.1))


def test_a_generator_that_gives_nan_is_a_clear_failure(tmp_path):
    class Broken(nn.Module):
        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            return latents.sum() * torch.full((latents.shape[0], 3, 16, 16), float("nan"))

    with pytest.raises(QbenchError, match=r"gan-inversion: the loss .*NaN or infinite .*; try a lower learning rate"):
        codec(save(tmp_path, network=Broken())).encode(Image(smooth(16, 16)))


def test_losses_of_other_plugins_can_be_minimised(small):
    pixels = smooth(64, 64)
    losses = {"mse": 1.0, "vit-labels": 0.05, "vit-features": 0.05}
    made = codec(small, losses=losses, iterations=5, refine=2)
    assert codec(small).decode(made.encode(Image(pixels))).shape == pixels.shape
    names = {weights.name for weights in GanInversion.weights(made.parameters, "bundled")}
    assert names == {"small.pt", "vit-tiny-imagenet"}
    with pytest.raises(PluginError, match=r"unknown loss `vit-label`; did you mean `vit-labels`\?"):
        codec(small, losses={"vit-label": 1.0}).encode(Image(pixels))


def test_artifacts_are_left_when_asked_for(small):
    made = codec(small, iterations=20, snapshots=10)
    made.encode(Image(smooth(40, 30)))
    names = [artifact.name for artifact in made.artifacts()]
    assert names == ["loss.csv", "latent.png", "snapshot-000000.png", "snapshot-000010.png", "snapshot-000020.png"]
    lines = made.artifacts()[0].data.decode().splitlines()
    assert lines[0] == "iteration,loss"
    assert len(lines) == 22
    quiet = codec(small, iterations=2)
    quiet.encode(Image(smooth(40, 30)))
    assert list(quiet.artifacts()) == []


def test_the_presets():
    thesis = InversionParameters(preset="thesis").search()
    assert (thesis.optimiser, thesis.rate, thesis.patience, thesis.iterations) == ("sgd", 1.0, 10, 30_000)
    assert InversionParameters(preset="thesis").beginning == "random"
    assert InversionParameters(preset="thesis", iterations=7).search().iterations == 7
    assert InversionParameters().search().optimiser == "adam"


def test_thesis_exact_stretches_what_it_saves_and_fits_to_the_wrong_range(small):
    pixels = smooth(16, 16)
    exact = codec(small, thesis_exact=True, coder="qsgd", bits=8)
    back = codec(small).decode(exact.encode(Image(pixels)))
    assert (back.pixels.min(), back.pixels.max()) == (0, 255)
    usual = codec(small).decode(codec(small, coder="qsgd", bits=8).encode(Image(pixels)))
    assert psnr(usual, pixels) > psnr(back, pixels) + 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"coder": "qsgd", "bits": 2.5}, "bits: 2.5 is not accepted with coder qsgd; accepted: 1, 2"),
        ({"losses": {"mse": 0.0}}, "weights must be above 0"),
        ({"losses": {}}, "at least 1 item"),
        ({"bits": 9}, "less than or equal to 8"),
        ({"iteration": 3}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValidationError, match=message):
        InversionParameters(**settings)


def test_generators_that_are_none(tmp_path, small):
    (tmp_path / "text.pt").write_text("hello")
    torch.jit.save(torch.jit.script(Small()), tmp_path / "silent.pt")
    with pytest.raises(ModelError, match=r"text\.pt: not a TorchScript file"):
        codec(tmp_path / "text.pt").encode(Image(smooth(16, 16)))
    with pytest.raises(ModelError, match=r"silent\.pt: its qbench\.json must give latent_size, height and width"):
        codec(tmp_path / "silent.pt").encode(Image(smooth(16, 16)))
    with pytest.raises(ModelError, match=r"gone\.pt: can't read the weights"):
        codec(tmp_path / "gone.pt")
    with pytest.raises(PluginError, match=r"unknown generator `pgan-celeba-512`; did you mean `pgan-celebahq-512`\?"):
        codec("pgan-celeba-512")
    with pytest.raises(QbenchError, match=r"gives \(1, 3, 16, 16\), but declares \(1, 3, 32, 16\)"):
        codec(save(tmp_path, "tall.pt", height=32)).encode(Image(smooth(16, 16)))
    with pytest.raises(QbenchError, match="does not take latents of 25 numbers"):
        codec(save(tmp_path, "wide.pt", latent_size=25)).encode(Image(smooth(16, 16)))
    with pytest.raises(QbenchError, match="generator scripted has no encoder; start: random or mean"):
        codec(small, start="encoder").encode(Image(smooth(16, 16)))
    with pytest.raises(ModelError, match="qbench models pull pgan-celebahq-512"):
        GanInversion(InversionParameters(), Context(profile="hub")).encode(Image(smooth(16, 16)))


@pytest.mark.slow
def test_in_a_run_with_workers_or_without(small, photos):
    suite = {
        "name": "gan",
        "images": [{"folder": str(photos), "limit": 2}],
        "codecs": {"gan-inversion": {"generator": str(small), "bits": [2, 8], **FAST, "snapshots": 50}},
        "metrics": ["bpp", "psnr"],
    }
    done = qbench.run(suite, output="here", cache=False)
    assert not done.failures
    assert {artifact.name for artifact in done.rows[0].cell.artifacts} >= {"loss.csv", "latent.png"}
    beside = qbench.run(suite, output="there", cache=False, jobs=2)
    assert not beside.failures


def test_tables_name_the_generator(small, photos):
    suite = {
        "images": [{"folder": str(photos), "limit": 1}],
        "codecs": {"gan-inversion": {"generator": str(small), "bits": [2, 4], "iterations": 2, "refine": 0}},
        "metrics": ["bpp"],
    }
    done = qbench.run(suite, output="named", cache=False)
    assert [dict(point.models) for point in done.plan.points] == [{"small.pt": f"generator in {small}"}] * 2
    assert model_lines(done) == [f"gan-inversion: small.pt (generator in {small})"]


def test_operating_points_share_networks(small):
    one, other, another_loss = codec(small, bits=2), codec(small, bits=8), codec(small, losses={"mse": 0.5})
    assert one._network is other._network is another_loss._network
    assert one._inverter is other._inverter
    assert one._inverter is not another_loss._inverter
    assert codec(small, seed=1)._inverter is not one._inverter
