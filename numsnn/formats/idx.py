"""IDX files (MNIST and its kin), plain or gzip: arrays of bytes, integers or floats.

    0 0 dtype ndim | ndim sizes, 4 bytes each | the values, last axis fastest        all big-endian

dtype: 0x08 uint8, 0x09 int8, 0x0B int16, 0x0C int32, 0x0D float32, 0x0E float64.  Whether a file is
compressed is seen from its first bytes.

Source: LeCun, Cortes, Burges, The MNIST database of handwritten digits (the page that describes the format).
"""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..checked import checked
from .problems import FormatError, existing
from .source import RATIO
from .whole import write_bytes

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_DIMENSIONS = 32
PIECE = 1 << 20                 # bytes that are unpacked at once
AGAIN = "the file may be damaged or incomplete, fetch it again"


@checked
def read(path: Path | str) -> np.ndarray:
    """The array of an IDX file, in the byte order of this machine.

    The sizes in the header are compared with the size of the file before any memory is taken, and a
    compressed file is unpacked piece by piece and never further than its header promises.
    """
    path = existing(path)
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else open(path, "rb") as file:
            dtype, sizes = _header(file, path)
            _check_size(path, packed, dtype, sizes)
            content = _content(file, prod(sizes) * dtype.itemsize, path)
    except (OSError, EOFError, zlib.error) as error:
        problem = f"cannot be unpacked ({type(error).__name__}: {error})"
        raise FormatError(path, problem, remedy=AGAIN) from error
    values = np.frombuffer(content, dtype).reshape(sizes)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _check_size(path, packed, dtype, sizes):
    """Refuse a header that promises what the file cannot hold."""
    promised = prod(sizes) * dtype.itemsize
    stored = path.stat().st_size
    if packed:
        fits, there = promised <= RATIO * stored, f"{stored:,} compressed"
    else:
        behind_header = stored - (4 + 4 * len(sizes))
        fits, there = promised == behind_header, f"{behind_header:,}"
    if not fits:
        values = f"{' x '.join(map(str, sizes))} {dtype.name}"
        problem = f"the header promises {promised:,} bytes for {values}; the file has {there}"
        raise FormatError(path, problem, 4, AGAIN)


def _header(file, path):
    """(dtype, sizes) from the first bytes."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in DTYPES:
        problem = f"expected 0 0, a type and a number of dimensions; got the bytes {magic.hex(' ')}"
        raise FormatError(path, problem, 0, "this is no IDX file")
    if not 0 < magic[3] <= MOST_DIMENSIONS:
        raise FormatError(path, f"expected 1 to {MOST_DIMENSIONS} dimensions; got {magic[3]}", 3)
    raw = file.read(4 * magic[3])
    if len(raw) < 4 * magic[3]:
        raise FormatError(path, "the file ends inside its header", 4 + len(raw), AGAIN)
    sizes = tuple(np.frombuffer(raw, ">u4").tolist())
    if prod(n or 1 for n in sizes) >= 1 << 60:
        raise FormatError(path, f"impossible sizes {' x '.join(map(str, sizes))}", 4)
    return np.dtype(DTYPES[magic[2]]), sizes


def _content(file, promised, path):
    """The promised number of bytes, not one less or more."""
    content = bytearray()
    while len(content) <= promised and (piece := file.read(min(PIECE, promised + 1 - len(content)))):
        content += piece
    if len(content) != promised:
        there = "more" if len(content) > promised else f"{len(content):,}"
        raise FormatError(path, f"the header promises {promised:,} bytes; there are {there}", remedy=AGAIN)
    return content


@checked
def write(path: Path | str, array: ArrayLike) -> None:
    """Write an array as IDX, compressed if the name ends in .gz.

    bool becomes uint8, other types must be those of the format.
    """
    array = np.asarray(array)
    array = array.astype(np.uint8) if array.dtype == bool else array
    codes = {np.dtype(d).newbyteorder("="): code for code, d in DTYPES.items()}
    code = codes.get(array.dtype.newbyteorder("="))
    if code is None or not 0 < array.ndim <= MOST_DIMENSIONS or max(array.shape) >= 1 << 32:
        raise ValueError(f"IDX holds uint8, int8, int16, int32, float32 and float64 "
                         f"of 1 to {MOST_DIMENSIONS} dimensions; got {array.dtype} of shape {array.shape}")
    head = bytes((0, 0, code, array.ndim)) + np.array(array.shape, ">u4").tobytes()
    content = head + np.ascontiguousarray(array, DTYPES[code]).tobytes()
    path = Path(path)
    write_bytes(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
