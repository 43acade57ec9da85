"""NumPy archives that would take more memory than events do are refused before they are unpacked."""

import io
import zipfile

import numpy as np
import pytest
from mutations import modest

from numsnn import formats
from numsnn.formats import FormatError
from numsnn.signals.events import Events


def header(shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<i8", "fortran_order": False, "shape": shape})
    return file.getvalue()


def archive(path, content):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in "txyp":
            packed.writestr(f"{name}.npy", content(name))


CONTENT = {
    "all zeros, 160 kB": lambda name: header((20_000_000,)) + bytes(160_000_000 if name == "t" else 8),
    "says 16 GiB": lambda name: header((1 << 31,)) + bytes(800),
    "says more than numbers hold": lambda name: header((1 << 60, 1 << 60)) + bytes(8),
}


@pytest.mark.parametrize("kind", CONTENT)
def test_refused_before_it_is_unpacked(kind, tmp_path):
    archive(tmp_path / "a.npz", CONTENT[kind])
    with modest(20e6), pytest.raises(FormatError, match="would unpack to [0-9,]+, more than events do"):
        formats.read(tmp_path / "a.npz")


def test_what_packs_well_is_read(tmp_path):
    n = 50_000
    still = Events(np.arange(n), x=np.zeros(n, int), y=np.zeros(n, int), p=np.ones(n, int), shape=(2, 1, 1))
    formats.write(tmp_path / "a.npz", still)
    assert formats.read(tmp_path / "a.npz") == still
