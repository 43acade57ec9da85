"""Numbers of operations, and the energy that they take."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import NamedTuple

import numpy as np

from ..checked import checked


class Constants(NamedTuple):
    """Energy of an operation in pJ."""
    name: str
    mac: float
    ac: float

    def __str__(self) -> str:
        return f"{self.name}: {self.mac:g} pJ per MAC, {self.ac:g} pJ per AC"


FP32 = Constants("fp32 (45 nm, Horowitz 2014)", 4.6, 0.9)
INT32 = Constants("int32 (45 nm, Horowitz 2014)", 3.2, 0.1)
PRESETS = {"fp32": FP32, "int32": INT32}


@checked
def preset(which: Constants | str | tuple) -> Constants:
    """The constants of a name, "fp32" or "int32", of "MAC,AC" or (MAC, AC) in pJ; Constants as they are."""
    if isinstance(which, Constants):
        return which
    if isinstance(which, str) and which in PRESETS:
        return PRESETS[which]
    try:
        mac, ac = map(float, which.split(",") if isinstance(which, str) else which)
    except (TypeError, ValueError):
        mac = ac = -1
    if not (0 <= mac < np.inf and 0 <= ac < np.inf):
        raise ValueError(f"constants are {', '.join(PRESETS)}, or two energies in pJ, of a MAC and of an AC, "
                         f"such as 4.6,0.9; got {which!r}")
    return Constants("given", mac, ac)


@dataclass(frozen=True)
class Count:
    """Numbers of operations; what each is says the package."""
    mac: float = 0
    ac: float = 0
    update_mac: float = 0
    update_ac: float = 0
    compare: float = 0

    def __add__(self, other: Count) -> Count:
        return Count(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, factor: float) -> Count:
        return Count(*(a * factor for a in astuple(self)))

    __rmul__ = __mul__

    @property
    def all_mac(self) -> float:
        """Multiplications and additions, at synapses and in neurons."""
        return self.mac + self.update_mac

    @property
    def all_ac(self) -> float:
        """Additions, at synapses and in neurons."""
        return self.ac + self.update_ac

    def energy(self, which: Constants | str | tuple = FP32) -> float:
        """Energy in pJ."""
        each = preset(which)
        return self.all_mac * each.mac + self.all_ac * each.ac


UNITS = {"pJ": 1.0, "nJ": 1e3, "\u00b5J": 1e6, "mJ": 1e9}


def unit(energy: float) -> str:
    """The unit in which an energy (pJ) has one to four digits before the point."""
    fitting = [name for name, size in UNITS.items() if energy >= size]
    return fitting[-1] if fitting else "pJ"
