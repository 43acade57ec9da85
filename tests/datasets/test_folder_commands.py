"""numsnn convert and info of folders, and options that a command gives by itself."""

import json
import zipfile

import h5py
import numpy as np
import pytest
from test_folder import clips, recording, write

from numsnn import cli, formats
from numsnn.datasets import Dataset, converted, saved


def refused(capsys, *arguments):
    assert cli.main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1, error
    return error


def test_convert_a_folder_of_events(tmp_path, capsys):
    clips(tmp_path / "in", ".csv")
    out = str(tmp_path / "out.h5")
    folder = str(tmp_path / "in")
    assert "give shape=" in refused(capsys, "convert", folder, out)
    assert cli.main(["convert", folder, out, "--pattern", "{label}/*.csv", "--set", "sensor=34x34"]) == 0
    assert "6 recordings of in written" in capsys.readouterr().out
    data = converted.listing(out)
    assert data.classes == ("a", "b") and [item.label for item in data.items] == [0, 0, 0, 1, 1, 1]
    want = Dataset.from_folder(folder, sensor=(34, 34), n=3)
    assert np.array_equal(data.dataset(n_bins()).x.dense(), want.x.dense())
    with h5py.File(out) as file:
        told = json.loads(file.attrs["options"])
    assert told["pattern"] == "{label}/*.csv" and told["sensor"] == [34, 34]
    assert cli.main(["info", out]) == 0


def n_bins():
    from numsnn.datasets.recordings import Bins
    return Bins(n=3)


def test_convert_a_folder_of_tables(tmp_path, capsys):
    for i in range(4):
        table = "\n".join(f"{k},{k * i},," for k in range(5 + i))
        write(tmp_path / "in" / f"{'ab'[i % 2]}_{i}.csv", f"t,v,w,\n{table}\n")
    out = str(tmp_path / "out.h5")
    options = ["--pattern", "{label}_*.csv", "--columns", "v,w"]
    assert "'w' has no value" in refused(capsys, "convert", str(tmp_path / "in"), out, *options)
    assert cli.main(["convert", str(tmp_path / "in"), out, *options, "--set", "fill=hold"]) == 2
    capsys.readouterr()
    assert cli.main(["convert", str(tmp_path / "in"), out, *options, "--set", "fill=7"]) == 0
    data = saved.load(out)
    assert data.y.tolist() == [0, 0, 1, 1] and data.lengths.tolist() == [5, 7, 6, 8]
    assert np.array_equal(data.x[:5, 0], [[0, 7]] * 5)


def test_info_of_a_folder(tmp_path, capsys):
    clips(tmp_path / "in", ".raw")
    write(tmp_path / "in" / "README.txt", "recordings of mine\n")
    for _ in range(2):
        assert cli.main(["info", str(tmp_path / "in")]) == 0
        said = capsys.readouterr().out
        for part in ("folder, 7 files", "6 .raw, 1 .txt", "2 classes of .raw files", "a 3, b 3", "evt2",
                     "60 events in", "sensor 34 x 34"):
            assert part in said, part
    assert cli.main(["info", str(tmp_path / "in"), "--recording", "5", "--plot", "raster", "--out",
                     str(tmp_path / "a.png")]) == 0
    assert "b/2.raw" in capsys.readouterr().out and (tmp_path / "a.png").is_file()
    (tmp_path / "empty").mkdir()
    assert cli.main(["info", str(tmp_path / "empty")]) == 0
    assert "0 files" in capsys.readouterr().out
    write(tmp_path / "odd" / "a.txt", "nothing that is known\n")
    assert cli.main(["info", str(tmp_path / "odd")]) == 0
    assert "cannot be read: " in capsys.readouterr().out


def test_info_of_sound_in_an_archive(tmp_path, capsys):
    formats.wav.write(tmp_path / "a.wav", np.zeros((80, 2)), 8000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.wav", "yes/a.wav")
        archive.write(tmp_path / "a.wav", "no/a.wav")
    assert cli.main(["info", str(tmp_path / "a.zip")]) == 0
    said = capsys.readouterr().out
    assert "archive, 2 files" in said and "0.0100 s at 8,000 Hz, 2 channels" in said and "no 1, yes 1" in said


def test_info_of_a_table(tmp_path, capsys):
    write(tmp_path / "a.csv", "time (s);ax [g]\n0;1.5\n1;2.5\n")
    assert cli.main(["info", str(tmp_path / "a.csv")]) == 0
    said = capsys.readouterr().out
    assert "table of signals, 2 rows of 2 columns" in said and "ax [g]: 1.5 to 2.5" in said
    write(tmp_path / "b.csv", "0.5,1,1,1\n1.5,1,1,1\n")
    assert "seconds=true" in refused(capsys, "info", str(tmp_path / "b.csv"))


@pytest.mark.parametrize("arguments, words", [
    (["--set", "strict=false"], "--set strict=... is taken already; say --skip-bad"),
    (["--set", "format=bin"], "say --format"),
    (["--set", "path=x"], "--set path=... is taken already"),
    (["--pattern", "{label}/*"], "--pattern is for a folder"),
    (["--part", "test"], "--part is for a data set"),
])
def test_options_of_convert_that_are_taken(tmp_path, capsys, arguments, words):
    formats.write(tmp_path / "a.npz", recording(0))
    assert words in refused(capsys, "convert", str(tmp_path / "a.npz"), str(tmp_path / "o.h5"), *arguments)
    assert not (tmp_path / "o.h5").exists()


def test_the_part_of_a_data_set_can_be_set_either_way(tmp_path, capsys):
    for part in ("Train", "Test"):
        for digit in (0, 7):
            write(tmp_path / "in" / part / str(digit) / "1.bin", recording(digit + len(part)))
    command = ["convert", str(tmp_path / "in"), str(tmp_path / "o.h5"), "--dataset", "nmnist"]
    assert "contradict" in refused(capsys, *command, "--part", "test", "--set", "part=train")
    for taken in ("path=x", "strict=true"):
        assert "is taken already" in refused(capsys, *command, "--set", taken)
    assert cli.main([*command, "--set", "part=test"]) == 0
    assert "N-MNIST, test" in capsys.readouterr().out
    assert "--pattern is for" in refused(capsys, *command[:2], str(tmp_path / "p.h5"), *command[3:],
                                         "--pattern", "{label}/*")
    fsdd = ["convert", str(tmp_path / "in"), str(tmp_path / "q.h5"), "--dataset", "fsdd", "--set"]
    assert "--set path=... is taken already" in refused(capsys, *fsdd, f"path={tmp_path / 'x.h5'}")


def test_options_of_info_that_are_taken(tmp_path, capsys):
    formats.wav.write(tmp_path / "a.wav", np.zeros(10), 8000)
    info = ("info", str(tmp_path / "a.wav"), "--set")
    assert "wav has no option 'colour'" in refused(capsys, *info, "colour=1")
    for name in ("path", "format", "recording"):
        assert "taken already" in refused(capsys, *info, f"{name}=1")
