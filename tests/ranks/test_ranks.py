"""Training on the ranks of MPI: the same bytes as alone, for any number of them; faults end all of them."""

import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import over_ranks
import pytest
from beside import ENVIRONMENT

import numsnn as ns
from numsnn import cli
from numsnn.ranks import ALONE, RankError, agreement, digest, over

PLACES = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
MPIEXEC = shutil.which("mpiexec", path=PLACES)
needs_mpi = pytest.mark.skipif(not (find_spec("mpi4py") and MPIEXEC), reason="mpi4py or mpiexec is missing")
HELPER = Path(over_ranks.__file__)


def ranks(n, *arguments, code=0, **environment):
    """What a Python program says on n ranks, None: alone, without MPI."""
    start = [] if n is None else [MPIEXEC, "-n", str(n)]
    done = subprocess.run([*start, sys.executable, *map(str, arguments)], check=False, capture_output=True,
                          text=True, timeout=300, env=ENVIRONMENT | environment, cwd=HELPER.parent)
    assert (done.returncode == 0) == (code == 0), done.stdout + done.stderr
    return done


def told(n, *arguments, **environment):
    """What the helper says, line by line."""
    return ranks(n, HELPER, *arguments, **environment).stdout.splitlines()


@pytest.fixture(scope="module")
def alone():
    return told(None, "alone")


# ---- the same bytes


@needs_mpi
@pytest.mark.parametrize("n", (2, 3))
def test_any_number_of_ranks_gives_the_same_bytes(n, alone):
    assert len(alone) == len(over_ranks.CASES)
    assert told(n, "exact") == alone


@needs_mpi
def test_ranks_on_a_gpu():
    """In the simulator, in which all have the same."""
    simulated = {"NUMBA_ENABLE_CUDASIM": "1"}
    assert told(2, "exact", "gpu", **simulated) == told(None, "alone", "gpu", **simulated) != []


@needs_mpi
def test_the_network_of_ecg_with_four_ranks(tmp_path):
    """The recipe by the command line, narrow: parameters, history and report."""
    command = ("-m", "numsnn", "train", "srnn-ecg", "--epochs", "1", "--set", "hidden=4", "--threads", "1")
    ranks(None, *command, "--out", tmp_path / "alone")
    done = ranks(4, *command, "--mpi", "--out", tmp_path / "ranks")
    assert done.stdout.count("4 ranks, threads of each: 1; sums: exact") == 1
    assert done.stdout.count("test accuracy of the last epoch") == 1
    one, other = (ns.load(tmp_path / name / "checkpoint.h5") for name in ("alone", "ranks"))
    assert one.same_as(other)
    reports = [(tmp_path / name / "report.md").read_text().splitlines() for name in ("alone", "ranks")]
    assert [line for line in reports[0] if "accuracy" in line] == \
        [line for line in reports[1] if "accuracy" in line]


@needs_mpi
def test_a_training_goes_on_with_another_number_of_ranks(alone, tmp_path):
    path = tmp_path / "training.h5"
    over_ranks.trained("plain", {}, path, epochs=2)
    fresh = path.read_bytes()
    assert told(3, "exact", f"plain@{path}") == alone[:1]
    path.write_bytes(fresh)
    done = ranks(2, HELPER, "exact", f"plain@{path}", code=1, MUTANT="no checkpoint from rank 0")
    assert "rank 1 of 2 has another epoch to begin with than rank 0" in done.stderr


@needs_mpi
@pytest.mark.parametrize("fault", ("sums in the order of ranks", "states drawn by each rank"))
def test_that_digests_show_faults(fault, alone):
    assert told(3, "exact", "plain", MUTANT=fault) != alone[:1]


@needs_mpi
def test_fast_sums(alone):
    """The same bytes for the same number of ranks, about the same numbers for any."""
    names = ("plain", "conv-norm-dropout", "truncated")
    first = told(3, "fast", *names)
    assert first == told(3, "fast", *names)
    losses = {line.split()[0]: float(line.split()[2]) for line in alone}
    for line in first:
        name, _, loss = line.split()
        assert float(loss) == pytest.approx(losses[name], rel=1e-3)


# ---- faults

BEGIN = f"""
import os, signal, sys, warnings
sys.path.insert(0, {str(HELPER.parent)!r})
from pathlib import Path
import over_ranks, numsnn as ns
from mpi4py import MPI
comm = MPI.COMM_WORLD
"""


def program(text, **values):
    return "-c", BEGIN + text.format(**values)


@needs_mpi
@pytest.mark.parametrize("fault", ('raise RuntimeError("the disk is on fire")',
                                   "os.kill(os.getpid(), signal.SIGKILL)"))
def test_a_rank_that_fails_ends_all(fault, tmp_path):
    path = tmp_path / "training.h5"
    begun = time.monotonic()
    done = ranks(3, *program("""
def callback(epoch):
    if epoch.epoch == 1 and comm.rank == 1:
        {fault}
over_ranks.trained("plain", {{"comm": comm}}, Path({path!r}), callbacks=(callback,), epochs=1000)
""", fault=fault, path=str(path)), code=1)
    assert time.monotonic() - begun < 100           # a thousand epochs take longer than to start and to fail
    words = "rank 1 of 3 failed, and all ranks end: RuntimeError: the disk is on fire"
    assert (words in done.stderr) == ("raise" in fault)
    assert ns.load(path).n_params == over_ranks.spiking().n_params


@needs_mpi
def test_what_all_ranks_have_is_an_ordinary_error():
    done = ranks(2, *program("""
try:
    over_ranks.trained("plain", {{"comm": comm}}, None, tbptt=-1)
except ValueError as error:
    assert "tbptt" in str(error)
    print("told")
try:                        # only one of them sees the number that is none; all stop with its words
    x, y = over_ranks.sequences(43)
    x[4, 40] = 3e38
    net = ns.Network(ns.Dense(6, 3), ns.LI(3), ns.OverTime("mean"), chunk=3)
    net.params["dense0.weight"][...] = 10, -10, 10
    ns.fit(net, ns.Dataset(x, y, time_first=True), loss=ns.loss.CrossEntropy(), optimizer=ns.optim.SGD(0.1),
           epochs=3, batch_size=43, progress=False, comm=comm)
except ns.TrainingDiverged as error:
    print("diverged", error)
"""))
    assert done.stdout.count("told") == 2 and done.stdout.count("diverged") == 2
    assert len({line for line in done.stdout.splitlines() if "diverged" in line}) == 1
    assert "it begins in layer li0 at time step 4" in done.stdout


@needs_mpi
def test_ranks_that_were_started_differently_are_named():
    done = ranks(3, *program("""
def refused(**more):
    try:
        over_ranks.trained("plain", {{"comm": comm, **more}}, None)
    except ValueError as error:
        if comm.rank == 0:
            print(error)
refused(seed=int(comm.rank == 2))
if comm.rank:
    over_ranks.CASES["plain"] = (over_ranks.each, over_ranks.events, {{}})
refused()
ns.__version__ = str(comm.rank == 1)
refused()
"""))
    first, second, third = done.stdout.splitlines()
    assert first == "rank 2 of 3 has another seed than rank 0; all ranks must be started alike"
    assert "ranks 1, 2 of 3 have another network than rank 0" in second
    assert "ranks 1, 2 of 3 have another set of training data" in second and "optimiser" not in second
    assert "rank 1 of 3 has another version of numsnn" in third


@needs_mpi
def test_what_ranks_cannot_share_is_refused_and_idle_ones_are_said():
    done = ranks(3, *program("""
def band():
    return ns.Network(ns.Dense(6, 4), ns.ARLIF(4), ns.Dense(4, 3), ns.OverTime("mean"))
over_ranks.CASES["band"] = band, over_ranks.plain, {{}}
over_ranks.CASES["conv"] = over_ranks.conv, over_ranks.pictures, {{}}
try:
    over_ranks.trained("band", {{"comm": comm}}, None)
except ValueError as error:
    print(error)
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    over_ranks.trained("conv", {{"comm": comm}}, None, epochs=1)
print([str(w.message) for w in seen if "have nothing to do" in str(w.message)], flush=True)
try:
    over_ranks.trained("plain", {{"comm": "world"}}, None)
except TypeError as error:
    print(error)
"""))
    assert done.stdout.count("comm: layer arlif0, ARLIF(4), looks at the whole batch") == 3
    assert done.stdout.count("batches of 14 sequences are 2 chunks") == 1
    assert done.stdout.count("1 of 3 ranks have nothing to do") == 1
    assert done.stdout.count("comm must be a communicator of mpi4py, such as MPI.COMM_WORLD") == 3


@needs_mpi
def test_bad_input_of_the_command_line_is_said_once(tmp_path):
    command = "-m", "numsnn", "train", "srnn-ecg", "--mpi", "--out", str(tmp_path / "out"), "--set", "width=3"
    done = ranks(2, *command, code=2)
    assert done.stderr.count("recipe srnn-ecg has no option 'width'") == 1
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "checkpoint.h5").touch()
    done = ranks(2, *command[:-2], code=2)
    assert done.stderr.count("holds a training already; add --resume") == 1 and "Traceback" not in done.stderr


def test_without_mpi(tmp_path):
    """One sentence with the remedy; nothing else of numsnn looks for mpi4py."""
    block = "import sys; sys.modules['mpi4py'] = None; from numsnn import cli; "
    train = f"sys.exit(cli.main(['train', 'srnn-ecg', '--mpi', '--out', {str(tmp_path)!r}]))"
    done = ranks(None, "-c", block + train, code=2)
    assert done.stderr.strip() == "numsnn train: --mpi needs the package mpi4py, which is not installed: " \
        "pip install mpi4py"
    ranks(None, "-c", "import sys, numsnn; assert not any(name.startswith('mpi4py') for name in sys.modules)")


def test_one_rank_needs_nobody(capsys):
    assert over(None) is ALONE and over(ALONE) is ALONE
    assert ALONE.on_root(lambda: 3) == 3 and ALONE.texts("a") == ["a"] and ALONE.share(7) == (0, 7)
    with pytest.raises(ValueError, match="sums must be 'exact' or 'fast'"):
        over(None, "slow")
    with pytest.raises(TypeError, match=r"comm must be a communicator of mpi4py.*; got 3"):
        over(3)
    assert issubclass(RankError, OSError)
    assert cli.main(["train", "srnn-ecg", "--sums", "fast"]) == 2
    assert "--sums says how the ranks of --mpi add gradients" in capsys.readouterr().err


# ---- digests and shares


def test_digests_tell_what_differs():
    a = np.arange(6.0)
    facts = [a, a.astype(np.float32), a.reshape(2, 3), a + 1, np.zeros(0), {"a": a}, {"b": a}, [a], [a, a],
             [[a], a], "a", "b", 1, 1.5, None, True, [], {"a": [1, 2]}, {"a": [12]}]
    assert len({digest(fact) for fact in facts}) == len(facts)
    assert digest({"a": 1, "b": a[::2]}) == digest({"b": a[::2].copy(), "a": 1})
    digests = np.zeros((20, 2, agreement.SIZE), np.uint8)
    assert agreement.differences(["seed", "data"], digests) == []
    digests[1:, 1] = 1
    assert agreement.differences(["seed", "data"], digests) == \
        ["ranks 1, 2, 3, 4, 5, 6, 7, 8 ... of 20 have another data than rank 0"]


def but_some(n):
    return min(2, n), max(n - 3, min(2, n))


def test_batches_of_a_share_are_those_of_the_whole():
    for data in (over_ranks.plain(), over_ranks.events(), over_ranks.per_step(), over_ranks.lazy(False),
                 over_ranks.lazy(True)):
        both = (data.batches(14, np.random.default_rng(1), share=share) for share in (None, but_some))
        for whole, part in zip(*both, strict=True):
            own = slice(*but_some(len(whole.samples)))
            dense = [b.x.dense() if isinstance(b.x, ns.Spikes) else b.x for b in (whole, part)]
            np.testing.assert_array_equal(dense[0][:len(dense[1]), own], dense[1])
            assert not dense[0][len(dense[1]):, own].any() or data.lazy
            np.testing.assert_array_equal(part.samples, whole.samples[own])
            np.testing.assert_array_equal(part.whole.samples, whole.samples)
            np.testing.assert_array_equal(part.whole.y, whole.y)
            np.testing.assert_array_equal(part.y, whole.y[..., own])


def backwards(n):
    return n, 0


@pytest.mark.parametrize(("share", "kind"), (([[1], [2]], TypeError), (abs, ValueError),
                                             (backwards, ValueError)))
def test_what_is_no_share_is_refused(share, kind):
    with pytest.raises(kind, match="share must"):
        list(over_ranks.plain().batches(14, share=share))
