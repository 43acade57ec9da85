"""Signals from text, NumPy, WAV and MATLAB files: values, names, and what is refused."""

import numpy as np
import pytest

from numsnn import formats
from numsnn.formats import FormatError, wav

WANT = np.array([[1, 2.5], [3, -4], [5, 6e3]])


def write(tmp_path, content, name="a.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


TABLES = {
    "commas": "a,b\n1,2.5\n3,-4\n5,6e3\n",
    "a mark, semicolons, quotes": b'\xef\xbb\xbf"a";"b"\r\n1;2.5\r\n3;-4\r\n5;6e3\r\n',
    "tabs": "a\tb\n1\t2.5\n3\t-4\n5\t6e3",
    "blanks": "a   b\n 1 2.5\n 3 -4 \n 5   6e3\n",
    "bars": "a|b\n1|2.5\n3|-4\n5|6e3\n",
    "comma and blank": "a, b\n1, 2.5\n3, -4\n5, 6e3\n",
    "NumPy's comment": "# a b\n1 2.5\n3 -4\n5 6e3\n",
    "comments and empty lines": "# made by me\n\na,b\n1,2.5\n\n# pause\n3,-4\n5,6e3\n\n",
    "a comma at the end": "a,b,\n1,2.5,\n3,-4,\n5,6e3,\n",
    "16 bits": "a,b\n1,2.5\n3,-4\n5,6e3\n".encode("utf-16"),
    "other columns": "id,a,word,b\nx,1,walk,2.5\ny,3,,-4\nz,5,run,6e3\n",
    "a comma in a quoted name": '"id, number",a,b\n7,1,2.5\n7,3,-4\n7,5,6e3\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(tmp_path, name):
    found = formats.read_signals(write(tmp_path, TABLES[name]), ["a", "b"])
    assert np.array_equal(found.values, WANT) and found.names == ("a", "b")
    assert found.time is None and found.rate is None
    assert np.array_equal(formats.read_signals(tmp_path / "a.csv", ["b"]).values, WANT[:, 1:])


def test_names_are_kept_with_their_units(tmp_path):
    for coding in ("utf-8", "latin-1"):
        path = write(tmp_path, "time (s);\"ax [m/s²]\";U (µV)\n0,5;1,5;2\n1;2;-3e1\n".encode(coding))
        found = formats.read_signals(path, time="time (s)", decimal=",")
        assert found.names == ("ax [m/s²]", "U (µV)")
        assert found.values.tolist() == [[1.5, 2], [2, -30]] and found.time.tolist() == [0.5, 1]
    with pytest.raises(FormatError, match="decimal=','"):
        formats.read_signals(path)


def test_a_time_column_is_recognised_only_when_told(tmp_path):
    path = write(tmp_path, "time,a\n0,1\n1,2\n1,3\n")
    assert formats.read_signals(path).names == ("time", "a")
    assert formats.read_signals(path, time="time").names == ("a",)
    assert formats.read_signals(path, ["time", "a"], time=0).names == ("time", "a")
    path = write(tmp_path, "time,a\n0,1\n2,2\n1,3\n")
    with pytest.raises(FormatError, match="line 4: times in 'time' run backwards: 1 after 2"):
        formats.read_signals(path, time="time")


def test_missing_values_are_refused_or_filled(tmp_path):
    path = write(tmp_path, "a,b\n,1\n1,2\nNaN,3\n?,4\n4,5\nNA,6\n")
    with pytest.raises(FormatError, match="line 2: column 'a' has no value \\(4 are missing\\)"):
        formats.read_signals(path)
    assert formats.read_signals(path, ["b"]).values[:, 0].tolist() == [1, 2, 3, 4, 5, 6]
    filled = {0: [0, 1, 0, 0, 4, 0], "hold": [1, 1, 1, 1, 4, 4], "linear": [1, 1, 2, 3, 4, 4]}
    for fill, want in filled.items():
        assert formats.read_signals(path, ["a"], fill=fill).values[:, 0].tolist() == want
    with pytest.raises(ValueError, match="fill must be"):
        formats.read_signals(path, fill="mean")


def test_columns_without_names(tmp_path):
    path = write(tmp_path, "2019,1\n2020,2\n")
    assert formats.read_signals(path, [1]).values.tolist() == [[1], [2]]
    assert formats.read_signals(path).names == ("0", "1")
    named = formats.read_signals(path, header=True)
    assert named.names == ("2019", "1") and named.values.tolist() == [[2020, 2]]
    assert formats.read_signals(write(tmp_path, "1\n2\n3\n")).values.tolist() == [[1], [2], [3]]


def test_arrays_of_numpy_and_matlab(tmp_path):
    from scipy.io import savemat
    t, acc = np.arange(4) / 10, np.arange(8).reshape(4, 2)
    np.savez(tmp_path / "a.npz", t=t, acc=acc, note="mine")
    savemat(tmp_path / "a.mat", {"t": t, "acc": acc, "note": "mine"})
    for name in ("a.npz", "a.mat"):
        found = formats.read_signals(tmp_path / name, time="t")
        assert found.names == ("acc[0]", "acc[1]") and np.array_equal(found.values, acc)
        assert np.allclose(found.time, t)
        assert np.array_equal(formats.read_signals(tmp_path / name, ["acc[1]"]).values, acc[:, 1:])
        assert np.array_equal(formats.read_signals(tmp_path / name, "acc").values, acc)
    np.save(tmp_path / "a.npy", acc)
    assert formats.read_signals(tmp_path / "a.npy").names == ("0", "1")


def test_sound(tmp_path):
    signal = np.sin(np.arange(100))[:, None] * [0.5, 0.25]
    wav.write(tmp_path / "a.wav", signal, 8000)
    found = formats.read_signals(tmp_path / "a.wav")
    assert found.rate == 8000 and np.allclose(found.values, signal, atol=1e-4)
    assert formats.read_signals(tmp_path / "a.wav", [1], rate=4000, resample=True).values.shape == (50, 1)


@pytest.mark.parametrize("content, options, words", [
    ("a,b\n1,2\n3\n", {"delimiter": ","}, "line 3: expected 2 fields between ','; got 1"),
    ("a,b\n1,2\n3\n", {}, "no delimiter gives every line as many fields"),
    ("a,b\n1,x\n", {}, "line 2: column 'b' should hold numbers; got 'x'"),
    ("a,b\n1,1_0\n", {}, "should hold numbers; got '1_0'"),
    ("a,b\n1,inf\n", {}, "line 2: column 'b' is inf"),
    ("a,b\n1,2\n", {"columns": ["c"]}, "no column 'c'; it has 'a', 'b'"),
    ("a,a\n1,2\n", {"columns": ["a"]}, "2 columns are called 'a'; choose by number: 0, 1"),
    ("a,b\n1,2\n", {"columns": ["a", 0]}, "chosen once"),
    ("a,b\n1,2\n", {"columns": [2]}, "no column 2"),
    ("a,b\n1,2\n", {"columns": []}, "no column is left"),
    ("a,b\n1,2\n", {"rate": 8000}, "text has no option 'rate'; it has delimiter, decimal, header"),
    ("# nothing\n", {}, "no line of numbers"),
    (b"", {}, "the file is empty"),
    (b"\0\1\2\3", {}, "begins with"),
    (b"\x89HDF\r\n\x1a\n", {}, "read the arrays with h5py"),
    (b"MATLAB 5.0 MAT-file" + bytes(90), {}, "cannot be read as a MATLAB file"),
    (b"PK\x03\x04nonsense", {}, "cannot be read as a NumPy archive"),
    (b"\x93NUMPYnonsense", {}, "cannot be read as a NumPy file"),
])
def test_refused(tmp_path, content, options, words):
    with pytest.raises(ValueError, match=words):
        formats.read_signals(write(tmp_path, content), **options)
