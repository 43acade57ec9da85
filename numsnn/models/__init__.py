"""Trained networks: what each does, which command made it, and `load`, which reads it.

    net = numsnn.models.load("ecg-adlif")

The files stand in data/models of the source, and are installed with the package.  The table here holds the
digest of each: a file that is damaged, or another than the one that was measured, is refused.
"""

from __future__ import annotations

import hashlib
import json
import site
import sysconfig
from pathlib import Path
from typing import NamedTuple

from ..checked import checked
from ..files import CheckpointError, load as load_checkpoint
from ..network.network import Network

TABLE = Path(__file__).with_name("table.json")
HOME = Path(__file__).parents[2] / "data" / "models"
INSTALLED = [Path(base) / "share" / "numsnn" / "models"             # for all, and for one user
             for base in (sysconfig.get_path("data"), site.getuserbase())]


class Trained(NamedTuple):
    """What is known of a trained network.

    task, network: in words.  parameters: learned values.  test_accuracy: on data that training and the choice
    of the epoch did not see.  spikes: per neuron and step, by layer.  energy: nJ a step, by `preset`
    "horowitz-fp32" of numsnn.energy.  int8_accuracy, int4_accuracy: quantised to weights of 8 and 4 bits;
    constants: bytes of these as C, of 8 bits.  command: what made it.  sha256, size: of the file.
    """
    name: str
    task: str
    network: str
    parameters: int
    test_accuracy: float
    spikes: dict[str, float]
    energy: float
    int8_accuracy: float
    int4_accuracy: float
    constants: int
    command: str
    sha256: str
    size: int


def table() -> dict[str, Trained]:
    """All trained networks by their names."""
    rows = json.loads(TABLE.read_text(encoding="utf-8"))
    return {name: Trained(name, **row) for name, row in rows.items()}


@checked
def about(name: str) -> Trained:
    """What is known of a trained network; ValueError where there is none of that name."""
    known = table()
    if name not in known:
        raise ValueError(f"there is no trained network {name!r}; there are {', '.join(known)}")
    return known[name]


@checked
def path(name: str, folder: Path | str | None = None) -> Path:
    """The checkpoint of a trained network.  folder: where it is; None: in the source, or as installed.

    FileNotFoundError where it is in none of them, CheckpointError where the file is not the one of the table.
    """
    wanted = about(name)
    places = (HOME, *INSTALLED) if folder is None else (Path(folder),)
    for place in places:
        file = place / f"{name}.h5"
        if file.is_file():
            _verify(file, wanted)
            return file
    looked = " and ".join(map(str, places))
    raise FileNotFoundError(f"the trained network {name!r} is not there, looked for {name}.h5 in {looked}; "
                            f"it stands in data/models of the source: give that folder as folder=, "
                            f"or make it anew with `{wanted.command}`")


def _verify(file, wanted):
    size = file.stat().st_size
    if size == wanted.size:
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found == wanted.sha256:
            return
        different = f"its SHA-256 is {found[:12]}..., not {wanted.sha256[:12]}..."
    else:
        different = f"it has {size:,} bytes, not {wanted.size:,}"
    raise CheckpointError(f"{file} is not the network {wanted.name!r} that was measured: {different}; "
                          f"get the file again, or read it as it is with numsnn.load")


@checked
def load(name: str, *, folder: Path | str | None = None, device: str = "cpu") -> Network:
    """A trained network, verified by its digest.  name: one of `table()`.  folder, errors: see `path`."""
    return load_checkpoint(path(name, folder), device=device)


__all__ = ["Trained", "about", "load", "path", "table"]
