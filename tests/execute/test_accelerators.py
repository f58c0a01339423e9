from __future__ import annotations

import pytest

from qbench.errors import DeviceError
from qbench.execute import accelerators as device


def test_cpu_is_cpu():
    assert device.resolve_device("cpu") == "cpu"
    assert device.device_name("cpu") == "cpu"


def test_auto_needs_no_torch_where_there_is_no_driver(monkeypatch):
    monkeypatch.setattr(device, "_may_have_one", lambda: False)
    monkeypatch.setitem(__import__("sys").modules, "torch", None)  # importing it would raise
    assert device.resolve_device("auto") == "cpu"


@pytest.mark.parametrize("wanted", ["gpu", "cuda:", "cuda:x", "CPU", "", "mps"])
def test_unknown_devices_are_refused(wanted):
    with pytest.raises(DeviceError, match=r"unknown device .* accepted: auto, cpu, cuda"):
        device.resolve_device(wanted)


@pytest.mark.parametrize(
    ("wanted", "count", "expected"),
    [("auto", 0, "cpu"), ("auto", 2, "cuda:0"), ("cuda", 1, "cuda:0"), ("cuda:1", 2, "cuda:1")],
)
def test_cuda_devices_are_counted(monkeypatch, wanted, count, expected):
    monkeypatch.setattr(device, "_may_have_one", lambda: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: count > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda number: "one model")
    assert device.resolve_device(wanted) == expected


@pytest.mark.parametrize(("wanted", "count", "message"), [("cuda", 0, "finds no CUDA"), ("cuda:2", 2, "there are 2")])
def test_a_missing_device_is_refused(monkeypatch, wanted, count, message):
    monkeypatch.setattr("torch.cuda.is_available", lambda: count > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda number: "one model")
    with pytest.raises(DeviceError, match=message):
        device.resolve_device(wanted)


@pytest.mark.gpu
def test_a_real_device_is_found():
    assert device.resolve_device("auto") == "cuda:0"
    assert device.device_name("cuda:0") != "cuda:0"
    device.synchronise("cuda:0")
