"""IDX: the real MNIST files, round trips, files made by hand, damaged and deceitful ones."""

import gzip
import hashlib
import struct

import numpy as np
import pytest
from mutations import modest, mutations, survives

from numsnn.formats import FormatError, idx

DTYPES = ("u1", "i1", "i2", "i4", "f4", "f8")


@pytest.fixture(scope="module")
def mnist(data_folder):
    folder = data_folder / "mnist"
    if not folder.is_dir():
        pytest.skip(f"no MNIST in {folder}")
    return folder


def test_the_real_files(mnist):
    labels = idx.read(mnist / "train-labels-idx1-ubyte.gz")
    assert labels.shape == (60000,)
    assert labels.dtype == np.uint8
    assert np.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    images = idx.read(mnist / "t10k-images-idx3-ubyte.gz")
    assert images.shape == (10000, 28, 28)
    # the unpacked file begins with 16 bytes of header; the rest are the pixels
    with gzip.open(mnist / "t10k-images-idx3-ubyte.gz") as file:
        assert hashlib.md5(file.read()[16:]).digest() == hashlib.md5(images.tobytes()).digest()


def test_a_real_file_written_again_has_the_same_bytes(mnist, tmp_path):
    with gzip.open(mnist / "t10k-labels-idx1-ubyte.gz") as file:
        content = file.read()
    for name in ("again", "again.gz"):
        idx.write(tmp_path / name, idx.read(mnist / "t10k-labels-idx1-ubyte.gz"))
        raw = (tmp_path / name).read_bytes()
        assert (gzip.decompress(raw) if name.endswith("gz") else raw) == content


# code, form of the struct module, values
KINDS = ((0x08, "B", (0, 255, 7)),
         (0x09, "b", (-128, 127, 0)),
         (0x0B, "h", (-32768, 258, 1)),
         (0x0C, "i", (-2 ** 31, 16909060, 1)),
         (0x0D, "f", (-1.5, 3e38, 0.0)),
         (0x0E, "d", (-1e300, 0.1, 2.0)))


@pytest.mark.parametrize("packed", [False, True])
def test_files_made_by_hand(tmp_path, packed):
    for code, form, values in KINDS:
        packed_values = struct.pack(f">3{form}", *values)
        content = bytes((0, 0, code, 2)) + struct.pack(">2I", 1, 3) + packed_values
        # told by content, not by name
        (tmp_path / "file").write_bytes(gzip.compress(content) if packed else content)
        found = idx.read(tmp_path / "file")
        assert found.shape == (1, 3)
        assert found.dtype == np.dtype(form)
        assert found.dtype.isnative
        assert found.tolist() == [list(struct.unpack(f">3{form}", packed_values))]
        found[0, 0] = 1                     # it can be written to


def test_round_trips(tmp_path):
    hypothesis = pytest.importorskip("hypothesis")
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
    shapes = hnp.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=5)
    arrays = st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, shapes))

    @hypothesis.settings(max_examples=150, deadline=None, database=None, derandomize=True)
    @hypothesis.given(arrays, st.booleans(), st.booleans())
    def check(array, packed, foreign):
        path = tmp_path / ("a.gz" if packed else "a")
        idx.write(path, array.astype(array.dtype.newbyteorder()) if foreign else array[..., ::-1][..., ::-1])
        again = idx.read(path)
        assert again.dtype == array.dtype
        assert again.shape == array.shape
        assert again.tobytes() == array.tobytes()

    check()


def test_what_can_be_written(tmp_path):
    idx.write(tmp_path / "bool", np.array([True, False]))
    assert idx.read(tmp_path / "bool").tolist() == [1, 0]
    for bad in (np.zeros(3, np.uint16), np.float32(1), np.zeros(2, complex), np.array(["a"])):
        with pytest.raises(ValueError, match="IDX holds uint8"):
            idx.write(tmp_path / "bad", bad)


GOOD = bytes((0, 0, 8, 1)) + struct.pack(">I", 4) + b"abcd"
NO_FILES = ((b"", "the file is empty"),
            (b"\0", "got the bytes 00"),
            (b"\x89PNG\r\n\x1a\n", "no IDX file"),
            (bytes((0, 0, 10, 1)), "no IDX file"),
            (bytes((0, 0, 8, 0)), "1 to 32 dimensions; got 0"),
            (bytes((0, 0, 8, 200)), "got 200"),
            (GOOD[:6], "ends inside its header"),
            (GOOD[:-1], "promises 4 bytes for 4 uint8; the file has 3"),
            (GOOD + b"e", "promises 4 bytes .* has 5"),
            (gzip.compress(GOOD[:-1]), "promises 4 bytes; there are 3"),
            (gzip.compress(GOOD + b"e"), "there are more"),
            (gzip.compress(GOOD)[:-9], "cannot be unpacked"),
            (gzip.compress(GOOD)[:12], "cannot be unpacked"),
            (b"\x1f\x8b", "cannot be unpacked"),
            (bytes((0, 0, 8, 3)) + b"\xff" * 8 + bytes(4), "impossible sizes"))


def test_files_that_are_none(tmp_path):
    for content, message in NO_FILES:
        for name in ("x", "x.gz"):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(FormatError, match=message):
                idx.read(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no file"):
        idx.read(tmp_path / "none")
    # gzip allows several parts
    (tmp_path / "x").write_bytes(gzip.compress(GOOD[:5]) + gzip.compress(GOOD[5:]))
    assert idx.read(tmp_path / "x").tobytes() == b"abcd"


def test_deceitful_headers_take_no_memory(tmp_path):
    """A header that promises gigabytes, and one that promises little over a file that unpacks to much."""
    huge = bytes((0, 0, 14, 3)) + struct.pack(">3I", 60000, 1 << 15, 1 << 15) + b"\0" * 100
    bomb = bytes((0, 0, 8, 1)) + struct.pack(">I", 10) + bytes(1 << 26)
    for content, message in ((huge, "the file has 100"),
                             (gzip.compress(huge), "compressed"),
                             (gzip.compress(bomb, 9), "there are more")):
        (tmp_path / "x").write_bytes(content)
        with modest(1 << 20), pytest.raises(FormatError, match=message):
            idx.read(tmp_path / "x")


@pytest.mark.parametrize("packed", [False, True])
def test_mutated_files(tmp_path, packed):
    content = bytes((0, 0, 11, 2)) + struct.pack(">2I", 5, 7) + bytes(range(70))
    path = tmp_path / "x"
    taken = 0
    for damaged in mutations(gzip.compress(content, mtime=0) if packed else content, 400):
        path.write_bytes(damaged)
        taken += survives(lambda: idx.read(path), 1 << 20)
    assert taken < 250
