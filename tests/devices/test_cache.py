"""What Numba keeps on disk: a model of one program must not stand in the way of another program."""

import os
from pathlib import Path

import leaky
from scripts import run_script

MODEL = Path(leaky.__file__).read_text()
TRAINING = """
import numpy as np, numsnn as ns
{make}
net = ns.Network(ns.Dense(3, 4), *layers, ns.Dense(4, 2), ns.LI(2), ns.OverTime("mean"), seed=0)
x, labels = np.ones((5, 2, 3), np.float32), np.array([0, 1])
grads = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, rng=np.random.default_rng(0)).grads
net.step(x[0])
print(float(sum(np.abs(g).sum() for g in grads.values())))
"""
REGISTERED = "import mine; layers = ns.population(ns.neurons.register('Mine', mine))(4), ns.LIF(4)"
OWN = TRAINING.format(make=REGISTERED)
USUAL = TRAINING.format(make="layers = ns.LIF(4),")


def run(code, folder, cache):
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    done = run_script(f"import sys; sys.path[:0] = {path.split(os.pathsep)!r}\n{code}", NUMBA_CACHE_DIR=cache)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_a_model_from_elsewhere_has_files_of_its_own(tmp_path):
    """Two programs share a cache; the first has a model in a module that the second does not have."""
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "mine.py").write_text(MODEL)
    cache = tmp_path / "cache"
    first = run(OWN, tmp_path / "program", cache)
    assert run(USUAL, tmp_path, cache) > 0
    assert run(OWN, tmp_path / "program", cache) == first


def test_another_model_of_the_same_module_name(tmp_path):
    """Two programs with a module of the same name, with other classes in it."""
    for name, text in (("one", MODEL), ("two", MODEL.replace("State", "Carried") + "\nState = Carried\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(text)
    cache = tmp_path / "cache"
    assert run(OWN, tmp_path / "one", cache) == run(OWN, tmp_path / "two", cache)
