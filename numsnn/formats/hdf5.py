"""HDF5 files of strangers: opened, and their data sets looked at, before anything is read from them.

The HDF5 library takes sizes as the file gives them: a damaged one makes it ask for gigabytes.  What is
stored bounds what can be there.
"""

from __future__ import annotations

import os
import zlib
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..packages import needed
from .problems import FormatError, existing

if TYPE_CHECKING:
    import h5py

RATIO = 1032                    # Deflate makes nothing smaller than this
FREE = 1 << 20                  # bytes that anything may take
# what h5py raises
DAMAGED = (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, OverflowError, SystemError)


def opened(path: Path | str) -> h5py.File:
    """An h5py.File, or an error that says why not."""
    h5py = needed("h5py", "an HDF5 file")
    try:
        file = h5py.File(existing(path), "r")
        check_links(path, file)
        return file
    except DAMAGED as error:
        if isinstance(error, (FormatError, FileNotFoundError)):
            raise
        problem = f"cannot be read as HDF5: damaged, cut short, or something else ({error})"
        raise FormatError(path, problem) from error


def check_links(path: Path | str, file: h5py.File) -> None:
    """Refuse a file with links to other files, which could name any file of the machine."""
    from h5py import h5l

    def outside(name, info):
        return name if info.type not in (h5l.TYPE_HARD, h5l.TYPE_SOFT) else None
    found = file.id.links.visit(outside, info=True)
    if found is not None:
        raise FormatError(path, f"{found.decode(errors='replace')} is a link to another file; "
                                f"such links are not followed")


def dataset(path: Path | str, file: h5py.File, key: str, kinds: str = "iufb", ndim: int | None = None,
            of: str = "") -> h5py.Dataset:
    """The data set `key` of a file: numbers of these kinds, and no more than fits into the file.

    kinds: NumPy's letters; of: what such files are called in the error.
    """
    h5py = needed("h5py", "an HDF5 file")
    found = file.get(key)
    if not isinstance(found, h5py.Dataset):
        there = ", ".join(sorted(file)) or "nothing"
        raise FormatError(path, f"no data set {key}; {of or 'it'} should have it, this file has {there}")
    if found.dtype.kind not in kinds or (ndim is not None and found.ndim != ndim):
        wanted = f"numbers of kind {kinds}" + ("" if ndim is None else f" in {ndim} dimensions")
        raise FormatError(path, f"{key} should hold {wanted}; got {found.dtype} of shape {found.shape}")
    return sound(path, found, key)


def sound(path: Path | str, found: h5py.Dataset, key: str) -> h5py.Dataset:
    """The data set, if it stands in this file, can be decompressed, and is no larger than fits into it."""
    if found.is_virtual or found.external:
        raise FormatError(path, f"the content of {key} stands in another file, which is not opened")
    _check_filters(path, found, key)
    stored = os.stat(path).st_size
    if found.size * max(found.dtype.itemsize, 1) > RATIO * stored + FREE:
        raise FormatError(path, f"{key} of shape {found.shape} cannot fit into a file of {stored:,} bytes")
    return found


def texts(path: Path | str, found: h5py.Dataset, key: str) -> np.ndarray:
    """The texts of a data set of texts, in its shape, as an array of str.

    Those of variable length are read by `Vectors`.  ValueError where one is no UTF-8.
    """
    kind = needed("h5py", "an HDF5 file").check_string_dtype(sound(path, found, key).dtype)
    if kind.length is not None:
        return np.char.decode(np.asarray(found[()], np.bytes_), "utf-8").astype(object)
    vectors = Vectors(path, found, key, ndim=found.ndim)
    if vectors.entries is None:
        raise FormatError(path, f"{key} is stored in a way in which texts are not read here",
                          remedy="write the file again with h5py")
    content = np.zeros(found.size, object)
    for i in range(found.size):
        content[i] = bytes(vectors[i]).decode("utf-8")
    return content.reshape(found.shape)


# filters that do not come with the HDF5 library, by their registered number
PROPHESEE = ("neither numsnn nor hdf5plugin brings it: install Prophesee's hdf5_ecf and name its folder in "
             "HDF5_PLUGIN_PATH")
PLUGIN = "numsnn does not bring it: pip install hdf5plugin, and import hdf5plugin before reading"
FILTERS = {
    307: ("bzip2", PLUGIN),
    32000: ("LZF", PLUGIN),
    32001: ("Blosc", PLUGIN),
    32004: ("LZ4", PLUGIN),
    32008: ("Bitshuffle", PLUGIN),
    32013: ("ZFP", PLUGIN),
    32015: ("Zstandard (zstd)", PLUGIN),
    32026: ("Blosc2", PLUGIN),
    36559: ("ECF of Prophesee", PROPHESEE),
}


def _check_filters(path, found, key):
    """Refuse a data set that is compressed in a way that is not installed, by its name."""
    from h5py import h5z
    stored = found.id.get_create_plist()
    for i in range(stored.get_nfilters()):
        code, _, _, told = stored.get_filter(i)
        if not h5z.filter_avail(code):
            name, remedy = FILTERS.get(code, (told.decode("ascii", "replace") or "unknown", PLUGIN))
            problem = f"{key} is compressed with the filter {name}, number {code}, which is not installed"
            raise FormatError(path, problem, remedy=remedy)


def number(file: h5py.Group, name: str) -> int | float | None:
    """A number among the attributes, or None.

    Others are not read: a damaged heap of texts can keep the HDF5 library busy for ever.
    """
    if name not in file.attrs:
        return None
    attribute = file.attrs.get_id(name)
    if attribute.dtype.kind not in "iuf" or attribute.shape not in ((), (1,)):
        return None
    return np.ravel(file.attrs[name])[0].item()


def text(file: h5py.Group, name: str) -> str:
    """A text of fixed length among the attributes, or ""."""
    if name not in file.attrs or file.attrs.get_id(name).dtype.kind != "S":
        return ""
    return np.bytes_(file.attrs[name]).decode("utf-8", "replace")


class Vectors:
    """A data set whose entries are vectors of variable length; several axes are counted through.

    It is read without the HDF5 library, which a damaged heap can keep busy for ever.

    An entry is 16 bytes: length, address of a heap, number of an object in it.  A heap is GCOL, its size,
    and then its objects: number, length, bytes, filled up to eight.  Where the file hides this (filters that
    are not known here, small addresses) h5py reads it.
    """

    def __init__(self, path: Path | str, found: h5py.Dataset, name: str, ndim: int = 1):
        h5py = needed("h5py", "an HDF5 file")
        self.path = path
        self.name = name
        self.found = found
        self.size = Path(path).stat().st_size
        base = "u1" if h5py.check_string_dtype(found.dtype) else h5py.check_vlen_dtype(found.dtype)
        if base is None or found.ndim != ndim:
            got = f"{found.dtype} of shape {found.shape}"
            raise FormatError(path, f"{name} should hold a vector for each recording; got {got}")
        self.dtype = np.dtype(base)
        self.shape = (found.size,)
        self.entries = _entries(path, found)
        # the heap that was read last: its address, its bytes, number -> (first byte, length) of its objects
        self.heap: tuple[int | None, bytes, dict[int, tuple[int, int]]] = (None, b"", {})
        lengths = self.lengths
        if lengths is not None and lengths.sum() * self.dtype.itemsize > self.size:
            promised = f"vectors of {lengths.max():,} items and {lengths.sum():,} together"
            raise FormatError(path, f"{name} promises {promised}, the file has {self.size:,} bytes")

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
            problem = f"damaged heap: object {number} has {max(size, 0)} bytes, {length} items were promised"
            raise FormatError(self.path, problem, f"{self.name}, entry {i}")
        return np.frombuffer(self.heap[1], self.dtype, length, at)

    def _read_heap(self, address, i):
        """(bytes, number -> (first byte, length)) of a heap."""
        where = f"{self.name}, entry {i}"
        if address + 16 > self.size:
            problem = f"damaged heap: address {address:,} in a file of {self.size:,} bytes"
            raise FormatError(self.path, problem, where)
        with open(self.path, "rb") as file:
            file.seek(address)
            head = file.read(16)
            size = int.from_bytes(head[8:], "little")
            if head[:4] != b"GCOL" or not 16 < size <= self.size - address:
                problem = f"damaged heap at byte {address:,}: {head[:4]!r} of {size:,} bytes"
                raise FormatError(self.path, problem, where)
            content = head + file.read(size - 16)
        objects = {}
        at = 16
        while at + 16 <= len(content):
            number = int.from_bytes(content[at:at + 2], "little")
            length = int.from_bytes(content[at + 8:at + 16], "little")
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
    raw = np.zeros(found.shape, ENTRY)
    if found.chunks is None:
        offset = found.id.get_offset()
        if offset is None:
            return None if found.id.get_storage_size() else raw.ravel()
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
        chunk = np.zeros(found.chunks, ENTRY)
        n = min(chunk.size, len(content) // ENTRY.itemsize)
        chunk.ravel()[:n] = np.frombuffer(content, ENTRY, n)
        place = tuple(slice(at, at + n) for at, n in zip(first, found.chunks, strict=True))
        into = raw[place]
        into[...] = chunk[tuple(map(slice, into.shape))]
    return raw.ravel()


def _chunk(found, first):
    """The bytes of a chunk without its filters; None where one of them is not known here."""
    from h5py.h5z import FILTER_DEFLATE, FILTER_SHUFFLE
    mask, content = found.id.read_direct_chunk(first)
    stored = found.id.get_create_plist()
    filters = [stored.get_filter(i)[0] for i in range(stored.get_nfilters()) if not mask >> i & 1]
    for code in reversed(filters):
        if code == FILTER_DEFLATE:
            content = zlib.decompressobj().decompress(content, ENTRY.itemsize * prod(found.chunks) + 1)
        elif code == FILTER_SHUFFLE:
            content = np.frombuffer(content, np.uint8).reshape(ENTRY.itemsize, -1).T.tobytes()
        else:
            return None
    return content
