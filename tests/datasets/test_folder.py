"""Data sets of the files of a folder: events, sound and tables, labels by pattern, and what is refused."""

import zipfile

import numpy as np
import pytest

import numsnn as ns
from numsnn import formats
from numsnn.datasets import Dataset, folder
from numsnn.datasets.recordings import Bins
from numsnn.formats import FormatError, wav

SUFFIXES = {"bin": ".bin", "bs2": ".bs2", "aedat2": ".aedat", "aedat4": ".aedat4", "dat": ".dat",
            "evt2": ".raw", "evt3": ".raw", "hdf5": ".h5", "npz": ".npz", "csv": ".csv"}


def recording(seed, n=60, width=34, height=34):
    rng = np.random.default_rng(seed)
    t = 5000 + np.sort(rng.integers(0, 30_000, n))
    x, y, p = rng.integers(0, width, n), rng.integers(0, height, n), rng.integers(0, 2, n)
    return ns.Events(t, x=x, y=y, p=p, shape=(2, height, width))


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, ns.Events):
        formats.write(path, content, next(f for f, s in SUFFIXES.items() if s == path.suffix))
    elif isinstance(content, np.ndarray):
        wav.write(path, content, 8000)
    else:
        path.write_text(content)


def clips(top, suffix=".csv", labels=("b", "a"), each=3):
    for k, label in enumerate(labels):
        for i in range(each):
            write(top / label / f"{i}{suffix}", recording(10 * k + i))


@pytest.mark.parametrize("name", SUFFIXES)
def test_events_of_every_format(tmp_path, name):
    for label in ("b", "a"):
        for i in (10, 2):
            path = tmp_path / label / f"{i}{SUFFIXES[name]}"
            path.parent.mkdir(exist_ok=True)
            formats.write(path, recording(i + ord(label)), name)
    shape = (2, 128, 128) if name == "aedat2" else (2, 34, 34)
    data = Dataset.from_folder(tmp_path, shape=shape, format=name if name == "bs2" else None, dt=1e-3)
    assert data.classes == ("a", "b") and data.y.tolist() == [0, 0, 1, 1] and data.lazy
    want = [recording(i + ord(c)).from_zero() for c in "ab" for i in (2, 10)]
    batch = next(data.batches(4))
    seen = batch.x.dense().reshape(-1, 4, *shape)
    assert np.array_equal(seen[..., :34, :34], ns.Events.concatenate(want).frames(1e-3, counts=False))
    assert seen.sum() == seen[..., :34, :34].sum()
    assert batch.lengths.tolist() == [e.bin(1e-3).shape[0] for e in want]


def test_cuts_of_events(tmp_path):
    clips(tmp_path)
    whole = {"pattern": "{label}/*.csv", "shape": (2, 34, 34)}

    def x(**options):
        return next(Dataset.from_folder(tmp_path, **whole, **options).batches(6)).x

    assert x(n=7).shape[0] == 7
    assert x(dt=1e-3, duration=12.5e-3).shape[0] == 13
    assert x(dt=1e-3, duration=12e-3).n_spikes < x(dt=1e-3).n_spikes
    assert x(n=4, duration=5e-3).n_spikes < x(n=4).n_spikes
    assert x(dt=1e-3, steps=9).shape[0] == 9
    assert x(dt=1e-3, from_zero=False).shape[0] > 31
    assert x(n=2, prepare=lambda e: e.downscale(17)).shape[2] == 8
    assert x(frame=Bins(n=3)).shape[0] == 3
    assert x(n=3, memory=True).shape[0] == 3
    assert x().shape[0] == 3, "10 ms a step"
    data = Dataset.from_folder(tmp_path, **whole, n=2, flip_x=True)
    assert np.array_equal(data.x.dense(), x(n=2, prepare=lambda e: e.mirrored()).dense())


def test_labels_and_groups_by_the_name(tmp_path):
    for name in ("walk_anna_1.csv", "walk_ben_10.csv", "run_anna_2.csv", "run_ben_9.csv"):
        write(tmp_path / "deep" / "er" / name, recording(sum(map(ord, name))))
    write(tmp_path / "README.txt", "not a recording")
    found = folder.find(tmp_path, "**/{label}_{group}_*.csv")
    assert found.classes == ("run", "walk") and found.labels == [0, 0, 1, 1]
    assert found.groups == ["anna", "ben", "anna", "ben"]
    data = Dataset.from_folder(tmp_path, "deep/er/{label}_{group}_?.csv", shape=(2, 34, 34), n=2)
    rest, held = data.hold_out("ben")
    assert len(rest) == 2 and len(held) == 1
    again = folder.find(tmp_path, "**/{label}_{group}_*.csv", classes=("walk", "jump", "run"))
    assert again.classes == ("walk", "jump", "run") and again.labels == [2, 2, 0, 0]
    with pytest.raises(ValueError, match="none of the classes walk"):
        folder.find(tmp_path, "**/{label}_{group}_*.csv", classes=("walk",))


def test_classes_that_are_numbers_count_as_numbers(tmp_path):
    for label in range(11):
        write(tmp_path / str(label) / "1.csv", recording(label))
    found = folder.find(tmp_path)
    assert found.classes == tuple(map(str, range(11))) and found.labels == list(range(11))


def test_sensors(tmp_path):
    write(tmp_path / "a" / "1.aedat4", recording(0))
    write(tmp_path / "b" / "1.aedat4", recording(1, width=20, height=10))
    with pytest.raises(ValueError, match="a/1.aedat4 has 34 x 34 pixels, b/1.aedat4 20 x 10"):
        Dataset.from_folder(tmp_path, dt=1e-3)
    assert Dataset.from_folder(tmp_path, dt=1e-3, shape=(2, 40, 50)).x.shape[2] == 4000
    small = Dataset.from_folder(tmp_path, dt=1e-3, shape=(2, 12, 40))
    with pytest.raises(FormatError, match="coordinate outside the sensor"):
        small.x.dense()
    clips(tmp_path / "old", ".aedat")
    with pytest.raises(FormatError, match="128 x 128 pixels, larger than the 64 x 64"):
        Dataset.from_folder(tmp_path / "old", dt=1e-3, shape=(2, 64, 64)).x.dense()
    clips(tmp_path / "text")
    with pytest.raises(ValueError, match="text does not say how large the sensor is; give shape="):
        Dataset.from_folder(tmp_path / "text", dt=1e-3)
    assert Dataset.from_folder(tmp_path / "text", dt=1e-3, sensor=(40, 35)).x.shape[2] == 2 * 40 * 35


def test_an_archive(tmp_path):
    clips(tmp_path / "clips", ".raw")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted((tmp_path / "clips").rglob("*.raw")):
            archive.write(path, path.relative_to(tmp_path / "clips").as_posix())
    inside, outside = (Dataset.from_folder(tmp_path / name, n=4) for name in ("a.zip", "clips"))
    assert np.array_equal(inside.x.dense(), outside.x.dense())


def test_sound(tmp_path):
    rng = np.random.default_rng(0)
    lengths = {"no/1.wav": 800, "no/2.wav": 1000, "yes/1.wav": 900}
    sounds = {name: rng.uniform(-1, 1, n) for name, n in lengths.items()}
    for name, sound in sounds.items():
        write(tmp_path / name, sound)
    data = Dataset.from_folder(tmp_path)
    batch = next(data.batches(3))
    assert batch.x.shape == (1000, 3, 1) and batch.x.dtype == np.float32
    assert batch.lengths.tolist() == [800, 1000, 900] and data.classes == ("no", "yes")
    assert np.allclose(batch.x[:900, 2, 0], sounds["yes/1.wav"], atol=1e-4) and not batch.x[900:, 2].any()
    assert Dataset.from_folder(tmp_path, duration=0.05).x.shape == (400, 3, 1)
    assert Dataset.from_folder(tmp_path, steps=300, memory=True).x.shape == (300, 3, 1)
    low = Dataset.from_folder(tmp_path, rate=4000, resample=True)
    assert low.x.shape[0] == 500
    blocks = Dataset.from_folder(tmp_path, prepare=lambda s: s.values[:800].reshape(-1, 80))
    assert blocks.units == 80 and blocks.x.shape == (10, 3, 80)
    wav.write(tmp_path / "yes" / "2.wav", sounds["no/1.wav"][:700], 16000)
    with pytest.raises(FormatError, match="16,000 samples per second, no/1.wav has 8,000"):
        Dataset.from_folder(tmp_path).x.sum()
    with pytest.raises(ValueError, match="dt: for events only"):
        Dataset.from_folder(tmp_path, dt=1e-3)


def test_tables_of_signals_train(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(8):
        table = rng.normal(i % 2, 0.1, (12 + i % 3, 2))
        rows = "\n".join(f"{k / 10};{a:.4f};{b:.4f};note" for k, (a, b) in enumerate(table))
        write(tmp_path / f"p{i}_{'up' if i % 2 else 'down'}.csv", f'"t (s)";"ax [g]";"ay [g]";x\n{rows}\n')
    columns = ["ay [g]", "ax [g]"]
    data = Dataset.from_folder(tmp_path, "{group}_{label}.csv", columns=columns)
    assert data.units == 2 and data.classes == ("down", "up") and len(set(data.groups)) == 8
    net = ns.Network(ns.Dense(2, 2), ns.OverTime("mean"), seed=0, device="reference")
    ns.fit(net, data, loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(0.1), epochs=20, batch_size=4,
           progress=False)
    assert ns.evaluate(net, data).accuracy == 1
    data.save(tmp_path / "kept.h5")
    write(tmp_path / "p9_up.csv", '"t (s)";"ax [g]";"ay [g]";x\n0;;1;y\n')
    again = Dataset.from_folder(tmp_path, "{group}_{label}.csv", columns=columns)
    with pytest.raises(FormatError, match="'ax \\[g\\]' has no value"):
        again.x.sum()
    assert np.isfinite(Dataset.from_folder(tmp_path, "{group}_{label}.csv", columns=columns, fill=0).x).all()
    with pytest.raises(FormatError, match="should hold numbers"):
        Dataset.from_folder(tmp_path, "{group}_{label}.csv", columns="all")
    with pytest.raises(FormatError, match="columns='all'"):
        Dataset.from_folder(tmp_path, "{group}_{label}.csv", shape=(2, 4, 4))


def test_what_was_skipped_is_said(tmp_path):
    write(tmp_path / "a" / "1.csv", "1,1,1,1\n2,90,1,1\n3,1,1,1\n")
    data = Dataset.from_folder(tmp_path, shape=(2, 4, 4), n=1, strict=False)
    with pytest.warns(UserWarning, match="skipped 1 x coordinate outside the sensor"):
        assert data.x.n_spikes == 1


@pytest.mark.parametrize("options, words", [
    ({"pattern": "{label}/*.raw"}, "no file below .* matches the pattern .*; there are 6 .csv"),
    ({"pattern": "*.csv"}, "does not say where the label stands"),
    ({"pattern": "{label}/{user}.csv"}, "{label} and {group}; got {user}"),
    ({"shape": (34, 34)}, "shape must be \\(2, H, W\\)"),
    ({"shape": (2, 34, 34), "sensor": (34, 34)}, "not both"),
    ({"shape": (2, 34, 34), "columns": ["t"], "format": "csv"}, "columns= is for signals"),
    ({"shape": (2, 34, 34), "dt": 1e-3, "frame": Bins(n=2)}, "frame= makes the steps"),
    ({"shape": (2, 34, 34), "duration": -1}, "duration must be positive"),
    ({"shape": (2, 34, 34), "colour": 1}, "has no option 'colour'"),
    ({"shape": (2, 34, 34), "classes": ("a", "a")}, "different names"),
    ({"shape": (2, 34, 34), "format": "mp4"}, "no format 'mp4'"),
])
def test_refused(tmp_path, options, words):
    clips(tmp_path)
    with pytest.raises((ValueError, OSError), match=words):
        Dataset.from_folder(tmp_path, **options)


def test_mixed_formats_and_duplicates(tmp_path):
    clips(tmp_path)
    clips(tmp_path, ".raw", each=1)
    with pytest.raises(ValueError, match="several formats below .*: 6 .csv, 2 .raw; narrow it"):
        Dataset.from_folder(tmp_path, n=2)
    write(tmp_path / "a" / "9.csv", recording(1))
    with pytest.raises(ValueError, match="a/9.csv and b/1.csv below .* hold the same bytes"):
        Dataset.from_folder(tmp_path, "{label}/*.csv", shape=(2, 34, 34))
    twice = Dataset.from_folder(tmp_path, "{label}/*.csv", shape=(2, 34, 34), duplicates=True)
    assert len(twice) == 7
    with pytest.raises(FileNotFoundError, match="no folder and no zip archive"):
        Dataset.from_folder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="there are no files"):
        Dataset.from_folder(tmp_path / "empty")
