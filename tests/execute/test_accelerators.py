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


def test_all_devices_of_the_first_ones_model_are_used(monkeypatch):
    names = ["H100", "H100", "T4", "H100"]
    monkeypatch.setattr(device, "_may_have_one", lambda: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda number: names[number])
    assert device.accelerators("auto") == device.accelerators("cuda") == ("cuda:0", "cuda:1", "cuda:3")
    assert device.accelerators("cuda:2") == ("cuda:2",)
    assert device.accelerators("cpu") == ()


def test_amds_driver_is_one_as_well(monkeypatch):
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    monkeypatch.setattr("pathlib.Path.exists", lambda path: str(path) == "/dev/kfd")
    assert device._may_have_one()
    monkeypatch.setattr("pathlib.Path.exists", lambda path: False)
    assert not device._may_have_one()


def test_what_decides_results_there_is_told(monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_name", lambda name: "NVIDIA H100")
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda name: (9, 0))
    monkeypatch.setattr("torch.version.cuda", "13.0")
    monkeypatch.setattr("torch.version.hip", None)
    monkeypatch.setattr("torch.backends.cudnn.version", lambda: 91002)
    assert device.kind_of("cuda:0") == {"name": "NVIDIA H100", "capability": "9.0", "cuda": "13.0", "cudnn": "91002"}
    monkeypatch.setattr("torch.version.hip", "7.1")
    assert device.kind_of("cuda:0") == {"name": "NVIDIA H100", "capability": "9.0", "rocm": "7.1", "cudnn": "91002"}
    assert device.kind_of("cpu") is None
    assert device.conditions_of(()) == {}
    assert device.free_bytes("cpu") is None
    assert device.is_usable("cpu")


@pytest.mark.gpu
def test_a_real_device_tells_its_conditions():
    found = device.conditions_of(device.accelerators("auto"))
    assert found["name"] == device.device_name("cuda:0")
    assert found["memory"] >= device.free_bytes("cuda:0") > 0
    assert device.is_usable("cuda:0")
