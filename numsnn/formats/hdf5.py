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


class Vectors:
    """A data set whose entries are vectors of variable length, read without the HDF5 library, which a damaged heap can keep busy for ever.

    An entry is 16 bytes: length, address of a heap, number of an object in it.  A heap is GCOL, its size, and then its objects: number,
    length, bytes, filled up to eight.  Where the file hides this (filters that are not known here, small addresses) h5py reads it.
    """

    def __init__(self, path, found, name: str):
        import h5py
        self.path, self.name, self.found, self.size = path, name, found, Path(path).stat().st_size
        base = "u1" if h5py.check_string_dtype(found.dtype) else h5py.check_vlen_dtype(found.dtype)
        if base is None or found.ndim != 1:
            raise FormatError(path, f"{name} should hold a vector for each recording; got {found.dtype} of shape {found.shape}")
        self.dtype, self.shape = np.dtype(base), found.shape
        self.entries = _entries(path, found)
        self.heap = (None, b"", {})
        if self.entries is not None and self.lengths.sum() * self.dtype.itemsize > self.size:
            raise FormatError(path, f"{name} promises vectors of {self.lengths.max():,} items and {self.lengths.sum():,} together, the file "
                                    f"has {self.size:,} bytes")

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def lengths(self) -> np.ndarray | None:
        """Items of each vector, None where the file hides it."""
        return None if self.entries is None else self.entries["length"].astype(np.int64)

    def __getitem__(self, i: int) -> np.ndarray:
        if self.entries is None:
            return self.found[i]
        if not 0 <= i < len(self):
            raise IndexError(i)
        length, address, number = (int(v) for v in self.entries[i])
        if not length:
            return np.zeros(0, self.dtype)
        if address != self.heap[0]:
            self.heap = (address, *self._read_heap(address, i))
        at, size = self.heap[2].get(number, (0, -1))
        if size < length * self.dtype.itemsize:
            raise FormatError(self.path, f"damaged heap: object {number} has {max(size, 0)} bytes, {length} items were promised",
                              f"{self.name}, entry {i}")
        return np.frombuffer(self.heap[1], self.dtype, length, at)

    def _read_heap(self, address, i):
        """(bytes, number -> (first byte, length)) of a heap."""
        where = f"{self.name}, entry {i}"
        if address + 16 > self.size:
            raise FormatError(self.path, f"damaged heap: address {address:,} in a file of {self.size:,} bytes", where)
        with open(self.path, "rb") as file:
            file.seek(address)
            head = file.read(16)
            size = int.from_bytes(head[8:], "little")
            if head[:4] != b"GCOL" or not 16 < size <= self.size - address:
                raise FormatError(self.path, f"damaged heap at byte {address:,}: {head[:4]!r} of {size:,} bytes", where)
            content, objects, at = head + file.read(size - 16), {}, 16
        while at + 16 <= len(content):
            number, length = int.from_bytes(content[at:at + 2], "little"), int.from_bytes(content[at + 8:at + 16], "little")
            if not number or length > len(content) - at - 16:
                break
            objects[number] = at + 16, length
            at += 16 + -(-length // 8) * 8
        return content, objects


ENTRY = np.dtype([("length", "<u4"), ("address", "<u8"), ("number", "<u4")])


def _entries(path, found):
    """The entries of a data set of vectors as they stand in the file; None where it hides them."""
    if found.file.id.get_create_plist().get_sizes()[0] != 8:
        return None
    raw = np.zeros(found.size, ENTRY)
    if found.chunks is None:
        offset = found.id.get_offset()
        if offset is None:
            return raw
        with open(path, "rb") as file:
            file.seek(offset)
            content = file.read(raw.nbytes)
        if len(content) < raw.nbytes:
            raise FormatError(path, f"{found.name} is cut short", offset)
        return np.frombuffer(content, ENTRY)
    for i in range(found.id.get_num_chunks()):
        first = found.id.get_chunk_info(i).chunk_offset
        content = _chunk(found, first)
        if content is None:
            return None
        n = min(found.chunks[0], found.size - first[0], len(content) // ENTRY.itemsize)
        raw[first[0]:first[0] + n] = np.frombuffer(content, ENTRY, n)
    return raw


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
