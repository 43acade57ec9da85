"""Loops over time, for each device.  This is the only place that looks at the name of a device."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

DEVICES = ("cpu", "reference")


def get(device: str):
    """The module with the functions of contract.py for a device: "cpu" (Numba) or "reference" (NumPy)."""
    if device not in DEVICES:
        raise ValueError(f"unknown device {device!r}; there are {', '.join(map(repr, DEVICES))}")
    if device == "cpu" and find_spec("numba") is None:
        raise ImportError('device="cpu" needs the package numba, which is not installed: install it (pip install numba), '
                          'or use Network(..., device="reference"), which needs NumPy only')
    return import_module(f".{device}", __name__)


def fastest():
    """The compiled loops where Numba is installed, else the reference: for losses, which belong to no network."""
    return get("cpu" if find_spec("numba") else "reference")


def notice(device: str) -> str:
    """What a user should know before the first run on a device; "" for nothing."""
    if device == "cpu" and not any(Path(__file__).parent.glob("__pycache__/*.nbi")):
        return "The first run compiles the loops (about 20 s); they are cached for all later runs."
    return ""
