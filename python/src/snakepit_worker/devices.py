"""Tensors on accelerators: the adapter `device`. They stay where they are; TypeScript gets a handle.

A torch, cupy or jax array whose memory the CPU cannot read leaves as [ref, device, dtype, shape, library], where the
ref is that of a `Device` in the session's worker. What comes back with that ref is the very array. So a tensor on a
device lives in a session, and ends with its ref, with its session or with its worker.

Another worker can open it through CUDA IPC, when it is told how by `Device.share`. Nothing in that description is
pickled: it is numbers, names and the driver's own handles. Imported by `adapters.py` when the first such array is seen.
"""

from __future__ import annotations

import sys

from .adapters import ADAPTED, Refused
from .errors import bounded_repr, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .adapters import Rule

    # torch, cupy and jax are optional; their arrays are typed as what they are not: known.
    DeviceArray = Any

# How many parts a description has: those of torch's `rebuild_cuda_tensor`, without the two classes.
_DESCRIPTION = 13


class Device:
    """What a ref to a tensor on a device names."""

    def __init__(self, tensor: DeviceArray) -> None:
        self.tensor = tensor

    def to_host(self) -> object:
        """A copy in main memory, as an array that crosses."""
        return to_host(self.tensor)

    def share(self) -> list[object]:
        """How another worker opens the same memory. Raises TypeError for what CUDA IPC cannot share."""
        torch = sys.modules.get("torch")
        tensor = self.tensor
        if torch is not None and not isinstance(tensor, torch.Tensor):
            tensor = torch.from_dlpack(tensor)
        if torch is None or tensor.device.type != "cuda":
            raise TypeError(
                f"a tensor on {device_of(self.tensor)} cannot be shared with another worker: CUDA IPC shares tensors "
                "on NVIDIA GPUs, and torch does it; call to_host, or use it in the session that it lives in"
            )
        from torch.multiprocessing.reductions import reduce_tensor

        _, parts = reduce_tensor(tensor.detach())
        _, size, stride, offset, _, dtype, *rest = parts
        return [list(size), list(stride), offset, str(dtype).removeprefix("torch."), *rest]


def rule_for(kind: type, base: type) -> Rule | None:
    """The rule of cupy's and jax's arrays. A jax array on the CPU is what numpy makes of it."""
    return ADAPTED, payload


def payload(tensor: DeviceArray) -> list[object]:
    """[ref, device, dtype, shape, library] under the name `device`; the array itself when the CPU can read it."""
    device = device_of(tensor)
    if device.startswith("cpu"):
        from . import arrays

        return ["tensor", arrays.tensor(to_host(tensor))]
    library = type(tensor).__module__.partition(".")[0]
    dtype = str(tensor.dtype).removeprefix("torch.")
    return ["device", [Device(tensor), device, dtype, [int(length) for length in tensor.shape], library]]


def device_of(tensor: DeviceArray) -> str:
    """`cuda:0`, `mps`, `tpu:1`: the name that torch has for it, or the like."""
    device: Any = tensor.device
    if type(tensor).__module__.partition(".")[0] == "cupy":
        return f"cuda:{int(device)}"  # cupy's Device is a number
    if hasattr(device, "platform"):  # jax
        name = {"gpu": "cuda"}.get(device.platform, device.platform)
        return name if name == "cpu" else f"{name}:{device.id}"
    return str(device)


def to_host(tensor: DeviceArray) -> object:
    """A copy in main memory: a torch tensor on the CPU, or an ndarray."""
    if hasattr(tensor, "cpu"):
        return tensor.detach().cpu()
    if hasattr(tensor, "get"):  # cupy
        return tensor.get()
    import numpy

    return numpy.asarray(tensor)


def decode(value: object) -> object:
    """The array that a handle names, or that a description opens. Raises Refused for anything else."""
    if type(value) is list and len(value) == 1:
        [named] = value
        if type(named) is Device:
            return named.tensor
        if type(named) is list and len(named) == _DESCRIPTION:
            return _open(named)
    raise Refused(f"{bounded_repr(value, 80)} instead of a tensor on a device")


def _open(description: list[Any]) -> object:
    try:
        import torch
        from torch.multiprocessing.reductions import rebuild_cuda_tensor
    except ImportError:
        raise Refused("a tensor on a GPU, and torch is not installed in the worker's environment") from None
    size, stride, offset, name, *rest = description
    dtype = getattr(torch, name, None) if type(name) is str else None
    if not isinstance(dtype, torch.dtype):
        raise Refused(f"a tensor on a GPU of an unknown dtype {bounded_repr(name, 80)}")
    try:
        storage = torch.storage.TypedStorage
        return rebuild_cuda_tensor(torch.Tensor, torch.Size(size), tuple(stride), offset, storage, dtype, *rest)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:  # a torch without CUDA asserts
        reason = str(error).partition("\n")[0]
        raise Refused(f"a tensor on a GPU that cannot be opened here ({type_name(type(error))}: {reason})") from None
