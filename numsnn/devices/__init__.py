"""Loops over time, one folder for each device, the same file names in each.

This is the only place that looks at the name of a device.
"""

from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..packages import cannot_compile


class DeviceError(OSError):
    """A device that is not there or does not work: what is missing, and the remedy."""


DEVICES = ("cpu", "reference", "cuda")

_works: list[str] = []      # a GPU that was asked once


def get(device: str) -> ModuleType:
    """The module with the functions of contract.py for a device.

    "cpu" (Numba), "reference" (NumPy) or "cuda" (Numba on an NVIDIA GPU).
    """
    if device not in DEVICES:
        raise ValueError(f"unknown device {device!r}; there are {', '.join(map(repr, DEVICES))}")
    if device == "cpu":
        _check_numba()
    if device == "cuda" and not _works:
        _check_cuda()
        _works.append(device)
    return _loaded(device)


@lru_cache
def _loaded(device):
    return import_module(f".{device}.device", __name__)


def _check_numba():
    """Raise an ImportError or DeviceError that says why nothing can be compiled."""
    why = cannot_compile()
    if why:
        kind = ImportError if "package" in why else DeviceError
        raise kind(f'device="cpu" {why}, or use Network(..., device="reference"), which needs NumPy only')


def _check_cuda():
    """Raise an ImportError or DeviceError that says what the GPU lacks."""
    from numba import config
    if config.ENABLE_CUDASIM:
        return
    if find_spec("numba_cuda") is None:
        raise ImportError('device="cuda" needs the package numba-cuda, which is not installed: '
                          'pip install "numsnn[cuda]", or use device="cpu"')
    from numba import cuda
    if not cuda.is_available():
        try:
            cuda.current_context()
            reason = "its compiler is missing or does not fit"
        except Exception as error:      # noqa: BLE001  whatever the driver says
            reason = " ".join(str(error).split()).strip(" :.") or type(error).__name__
        raise DeviceError('device="cuda" needs an NVIDIA GPU with a driver that fits the installed '
                          f'numba-cuda; there is none that works ({reason}). '
                          'Install or update the driver, or use device="cpu"')


def take_gpu(number: int, device: str = "cuda") -> None:
    """Use this GPU of the machine from now on, counted round where there are fewer; nothing without a GPU."""
    if device == "cuda":
        get(device).take_gpu(number)


def of(a: object) -> ModuleType:
    """The functions for an array: those of the GPU where it lies there, else the fastest."""
    return fastest() if isinstance(a, np.ndarray) else get("cuda")


def on_gpu(host: np.ndarray) -> Any:
    """An array of the host, on the GPU."""
    return get("cuda").put(host)


def fastest() -> ModuleType:
    """The compiled loops where Numba is installed, else the reference.

    For losses, which belong to no network.
    """
    return get("reference" if cannot_compile() else "cpu")


def notice(device: str) -> str:
    """What a user should know before the first run on a device; "" for nothing."""
    if device == "cpu" and not any(Path(__file__).parent.rglob("*.nbi")):
        return "The first run compiles the loops (about 20 s); they are cached for all later runs."
    return ""
