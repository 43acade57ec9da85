"""HDF5 files of strangers: opened, and their data sets looked at, before anything is read from them.

The HDF5 library takes sizes as the file gives them: a damaged one makes it ask for gigabytes.  What is stored bounds what can be there.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from .problems import FormatError, existing

RATIO = 1032                    # Deflate makes nothing smaller than this
FREE = 1 << 20                  # bytes that anything may take
DAMAGED = (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, OverflowError, SystemError)     # what h5py raises


def opened(path):
    """An h5py.File, or an error that says why not."""
    import h5py
    try:
        return h5py.File(existing(path), "r")
    except DAMAGED as error:
        if isinstance(error, (FormatError, FileNotFoundError)):
            raise
        raise FormatError(path, f"cannot be read as HDF5: damaged, cut short, or something else ({error})") from error


def dataset(path, file, key: str, kinds: str = "iufb", ndim: int | None = None, of: str = ""):
    """The data set `key` of a file, which must hold numbers of these kinds (NumPy's letters), and no more than fits into the file.

    of: what such files are called in the error.
    """
    import h5py
    found = file.get(key)
    if not isinstance(found, h5py.Dataset):
        raise FormatError(path, f"no data set {key}; {of or 'it'} should have it, this file has {', '.join(sorted(file)) or 'nothing'}")
    if found.dtype.kind not in kinds or (ndim is not None and found.ndim != ndim):
        raise FormatError(path, f"{key} should hold numbers of kind {kinds}{f' in {ndim} dimensions' * (ndim is not None)}; got {found.dtype} "
                                f"of shape {found.shape}")
    most = RATIO * Path(path).stat().st_size + FREE
    if found.size * max(found.dtype.itemsize, 1) > most:
        raise FormatError(path, f"{key} of shape {found.shape} cannot fit into a file of {Path(path).stat().st_size:,} bytes")
    return found


def number(file, name: str):
    """A number among the attributes, or None.  Others are not read: a damaged heap of texts can keep the HDF5 library busy for ever."""
    if name not in file.attrs or file.attrs.get_id(name).dtype.kind not in "iuf" or file.attrs.get_id(name).shape not in ((), (1,)):
        return None
    return np.ravel(file.attrs[name])[0].item()


def text(file, name: str) -> str:
    """A text of fixed length among the attributes, or ""."""
    if name not in file.attrs or file.attrs.get_id(name).dtype.kind != "S":
        return ""
    return np.bytes_(file.attrs[name]).decode("utf-8", "replace")


def lengths(path, found) -> np.ndarray | None:
    """How many items each entry of a vector of variable-length vectors has, without reading them; None where the file hides it.

    An entry is 16 bytes: length, address of a heap, number in it (vectors of variable length are never compressed themselves).
    """
    raw = np.zeros((found.size, 16), np.uint8)
    if found.chunks is None:
        offset = found.id.get_offset()
        if offset is None:
            return np.zeros(found.size, np.int64)
        with open(path, "rb") as file:
            file.seek(offset)
            content = file.read(16 * found.size)
        if len(content) < 16 * found.size:
            raise FormatError(path, f"{found.name} is cut short", offset)
        raw[:] = np.frombuffer(content, np.uint8).reshape(-1, 16)
    else:
        for i in range(found.id.get_num_chunks()):
            first = found.id.get_chunk_info(i).chunk_offset
            content = _chunk(found, first)
            if content is None:
                return None
            n = min(found.chunks[0], found.size - first[0], len(content) // 16)
            raw[first[0]:first[0] + n] = np.frombuffer(content, np.uint8, 16 * n).reshape(-1, 16)
    return raw[:, :4].copy().view("<u4")[:, 0].astype(np.int64)


def _chunk(found, first):
    """The bytes of a chunk without its filters; None where one of them is not known here."""
    mask, content = found.id.read_direct_chunk(first)
    if found.compression not in (None, "gzip") or found.fletcher32 or mask:
        return None
    if found.compression == "gzip":
        content = zlib.decompressobj().decompress(content, 16 * found.chunks[0] + 1)
    if found.shuffle:
        content = np.frombuffer(content, np.uint8).reshape(16, -1).T.tobytes()
    return content


def check_vectors(path, found, name: str) -> None:
    """Refuse vectors of variable length that cannot all lie in the file."""
    n = lengths(path, found)
    size = Path(path).stat().st_size
    if n is not None and (n.sum() if n.size else 0) > size:
        raise FormatError(path, f"{name} promises vectors of {n.max():,} items and {n.sum():,} together, the file has {size:,} bytes")
