"""Without one of the other packages everything works that does not need it; the rest says what it needs."""

import json
from pathlib import Path

import numpy as np
import pytest
from numba.core.caching import IndexDataCacheFile
from scripts import run_script

import numsnn as ns
from numsnn import formats, packages

WRITTEN = ("bin", "bs2", "aedat2", "aedat4", "dat", "evt2", "evt3", "npz", "csv")

WITHOUT = """
import importlib.abc, json, sys, warnings
package, folder, recordings, checkpoint = sys.argv[1:]

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import numpy as np, numsnn as ns
from numsnn import formats
from numsnn.cli import main

def said(call, *arguments, **keywords):
    try:
        call(*arguments, **keywords)
    except ImportError as error:
        return str(error)
    return ""

def events(path):
    found = formats.read(path, path.rpartition(".")[2])
    return [a.tolist() for a in (found.t, found.x, found.y, found.p)]

rng = np.random.default_rng(0)
data = ns.Dataset(rng.random((9, 8, 3)).astype(np.float32), np.arange(8) % 2)
feedback = ns.Previous("alif0", shape=5, name="before")
net = ns.Network(ns.Dense(3, 5, name="in"), feedback, ns.Add("in", "before"), ns.ALIF(5, name="alif0"),
                 ns.Dense(5, 2), ns.LI(2), ns.OverTime("mean"), device="reference")
how = dict(loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(), epochs=1, batch_size=4, progress=False)
found = {"history": len(ns.fit(net, data, **how)), "components": [c.names for c in net.graph.components]}
ns.evaluate(net, data)
ns.check_gradients(net, data.x[:, :2], np.array([0, 1]), samples=2)
whole = ns.quantise(net, data)
ns.evaluate(whole, data)
found["c"] = [path.name for path in ns.export_c(whole, folder + "/c", calibration=data).files]
found["cpu"] = said(ns.Network, ns.Dense(3, 5), device="cpu")
found["save"] = said(ns.save, net, folder + "/net.h5")
found["fit"] = said(ns.fit, net, data, checkpoint=folder + "/fit.h5", **how)
found["plot"] = said(ns.plot.confusion, np.eye(2), ("a", "b"))
found["rate"] = said(ns.audio.log_mel, np.ones(4000), 8000, deltas=1)
found["mel"] = said(ns.audio.log_mel, np.ones(4000), 8000, deltas=0)
found["ear"] = said(lambda: ns.audio.cochlea(np.ones(80), 8000, 20))
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    found["events"] = [events(path) for path in recordings.split(",")]
found["warnings"] = [str(w.message) for w in seen]
found["main"] = [main(["recipes"]), main(["info", recordings.split(",")[0]]),
                 main(["convert", recordings.split(",")[0], folder + "/out.h5", "--format", "bin"])]
found["export"] = main(["export", checkpoint, folder + "/ecg", "--name", "ecg"])
print(json.dumps(found))
"""
CHECKPOINT = Path(__file__).parents[1] / "data" / "models" / "srnn-ecg.h5"
NEEDS = {"numba": ("cpu", "ear"), "scipy": ("rate",), "h5py": ("save", "fit"), "matplotlib": ("plot",)}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Paths and events of a recording in the formats that compiled code decodes."""
    rng, folder, n = np.random.default_rng(0), tmp_path_factory.mktemp("recordings"), 300
    t = np.sort(rng.integers(0, 90_000, n))
    x, y, p = rng.integers(0, 34, n), rng.integers(0, 34, n), rng.integers(0, 2, n)
    paths = []
    for name in WRITTEN:
        paths.append(folder / f"recording.{name}")
        formats.write(paths[-1], ns.Events(t, x=x, y=y, p=p, shape=(2, 34, 34)), name)
    read = [formats.read(path, name) for path, name in zip(paths, WRITTEN, strict=True)]
    return paths, [[a.tolist() for a in (e.t, e.x, e.y, e.p)] for e in read]


@pytest.mark.parametrize("package", NEEDS)
def test_without_a_package(package, recordings, tmp_path):
    paths, events = recordings
    done = run_script(WITHOUT, package, tmp_path, ",".join(map(str, paths)), CHECKPOINT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for what in ("cpu", "save", "fit", "plot", "rate", "mel", "ear"):
        if what in NEEDS[package]:
            said = f"needs the package {package}, which is not installed: pip install {package}"
            assert said in found[what], what
        else:
            assert not found[what], what
    assert found["history"] == 1 and found["events"] == events
    assert found["components"] == [["in"], ["before", "add0", "alif0"], ["dense0"], ["li0"], ["overtime0"]]
    assert found["main"] == [0, 0, 2 if package == "h5py" else 0]
    assert found["c"] == ["net.h", "net.c", "net_test.c", "Makefile", "net_report.json"]
    assert found["export"] == (2 if package == "h5py" else 0)
    assert ("The steps of the test are random numbers" in done.stdout) == (package == "scipy")
    assert "Traceback" not in done.stderr and ("h5py" in done.stderr) == (package == "h5py")
    assert [w.partition(";")[0] for w in found["warnings"]] == (
        ["recordings are decoded by plain Python"] if package == "numba" else [])


def test_where_numba_can_keep_nothing():
    """A container's read-only installation without a home: compiled anew, and one warning that says why."""
    done = run_script("""
from numba.core import caching
caching.CompileResultCacheImpl._locator_classes = []        # no folder is found
import numpy as np, numsnn as ns
from numsnn.cli import main
assert main(["recipes"]) == 0
net = ns.Network(ns.Dense(3, 2))
print("sum", net.run(np.ones((2, 1, 3), np.float32))[0].size)
""")
    assert done.returncode == 0 and done.stdout.endswith("sum 4\n"), done.stderr
    assert done.stderr.count("NUMBA_CACHE_DIR") == 1 and "Traceback" not in done.stderr


def test_two_processes_that_compile_at_once_do_not_mix_up_their_code(tmp_path):
    """Each has read the index of what is kept before the other writes to it."""
    packages.options()
    files = [IndexDataCacheFile(str(tmp_path), "loop", "of this source") for _ in range(2)]
    for file, key in zip(files, ("LIF", "LSTM"), strict=True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(file, "_load_index", dict)
            file.save(key, f"code of {key}")
    assert [files[0].load(key) for key in ("LIF", "LSTM")] == [None, "code of LSTM"]
    files[0].save("LIF", "code of LIF")
    assert [files[1].load(key) for key in ("LIF", "LSTM")] == ["code of LIF", "code of LSTM"]


def test_where_compiling_is_switched_off():
    done = run_script("""
import numpy as np, numsnn as ns
try:
    ns.Network(ns.Dense(3, 2))
except OSError as error:
    print(error)
x = np.ones((2, 1, 3), np.float32)
net = ns.Network(ns.Dense(3, 2), device="reference")
net.loss_and_gradients(ns.loss.CrossEntropy(), x, [[0], [1]])
""", NUMBA_DISABLE_JIT=1)
    assert done.returncode == 0, done.stderr
    assert 'needs compiled code, which NUMBA_DISABLE_JIT has switched off' in done.stdout
    assert 'device="reference"' in done.stdout


def test_without_docstrings_assertions_and_somebody_to_talk_to(tmp_path):
    """python -OO, and a program without a window: sys.stderr and sys.stdout are None."""
    done = run_script("""
import sys
from pathlib import Path
sys.stderr = sys.stdout = None
import numpy as np, numsnn as ns
assert False            # left out
x, labels = np.ones((4, 6, 3), np.float32), np.arange(6) % 2
net = ns.Network(ns.Dense(3, 5), ns.ALIF(5), ns.Dense(5, 2), ns.LI(2), ns.OverTime(), device="reference")
data = ns.Dataset(x, labels)
ns.fit(net, data, data, loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(), epochs=2, batch_size=3)
from numsnn.cli import main
status = main(["recipes"]), main(["info", "no such file"])
Path(sys.argv[1]).write_text(f"{len(net.summary()) > 0} {status}")
""", tmp_path / "said", PYTHONOPTIMIZE=2)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert (tmp_path / "said").read_text() == "True (0, 2)"
