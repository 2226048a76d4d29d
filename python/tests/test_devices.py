"""Handles of tensors on accelerators, as far as they can be tested without one."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from snakepit_worker import devices
from snakepit_worker.adapters import Refused

# As CUDA IPC describes a tensor: size, stride, offset, dtype, device, handle, sizes, counters, event.
DESCRIPTION = [[3], [1], 0, "float32", 0, b"handle", 512, 0, False, b"counter", 0, b"event", True]


class OnDevice:
    """What a tensor on a device looks like from outside."""

    device = "mps:0"
    dtype = "torch.float32"
    shape = (2, 3)

    def __init__(self, module: str = "cupy") -> None:
        type(self).__module__ = module


@pytest.mark.parametrize("value", [None, [], [1], [[1, 2]], [DESCRIPTION[:-1]], [DESCRIPTION, 1], {"ref": 1}])
def test_what_is_neither_a_handle_nor_a_description_is_refused(value: object) -> None:
    with pytest.raises(Refused, match="instead of a tensor on a device"):
        devices.decode(value)


def test_a_handle_is_the_very_array() -> None:
    tensor = OnDevice()
    assert devices.decode([devices.Device(tensor)]) is tensor


def test_a_description_needs_torch_where_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(Refused, match="torch is not installed in the worker's environment"):
        devices.decode([DESCRIPTION])


def test_a_description_that_cannot_be_opened_is_refused_with_the_reason() -> None:
    torch = pytest.importorskip("torch")
    for dtype in ("float31", 5, "nn"):
        with pytest.raises(Refused, match="of an unknown dtype"):
            devices.decode([[*DESCRIPTION[:3], dtype, *DESCRIPTION[4:]]])
    if torch.cuda.is_available():
        pytest.skip("it opens nothing, but is asked for in earnest")
    with pytest.raises(Refused, match=r"cannot be opened here \(\w+"):
        devices.decode([DESCRIPTION])


def test_only_cuda_shares_tensors_and_the_error_says_what_to_do_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(TypeError, match=r"a tensor on mps:0 cannot be shared .*call to_host"):
        devices.Device(OnDevice("torch")).share()


@pytest.mark.parametrize(
    ("module", "device", "name"),
    [
        ("torch", "cuda:1", "cuda:1"),
        ("cupy", 1, "cuda:1"),
        ("jaxlib", type("Device", (), {"platform": "gpu", "id": 2})(), "cuda:2"),
        ("jaxlib", type("Device", (), {"platform": "tpu", "id": 0})(), "tpu:0"),
        ("jaxlib", type("Device", (), {"platform": "cpu", "id": 0})(), "cpu"),
    ],
)
def test_a_device_has_the_name_that_torch_gives_it(module: str, device: Any, name: str) -> None:
    tensor = OnDevice(module)
    tensor.device = device
    assert devices.device_of(tensor) == name


def test_a_jax_array_in_main_memory_crosses_as_an_array() -> None:
    jax = pytest.importorskip("jax")
    numpy = pytest.importorskip("numpy")
    array = jax.numpy.arange(6, dtype="float32").reshape(2, 3)
    expected = ["tensor", ["<f4", [2, 3], numpy.arange(6, dtype="f4").tobytes()]]
    assert devices.payload(array) == expected
