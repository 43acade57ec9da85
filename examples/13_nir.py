"""A network of another library, trained on here: read a NIR file, fine-tune, measure energy, write it back.

    python examples/13_nir.py                           a file that the script makes as others do, a minute
    python examples/13_nir.py FILE.nir --dt 1e-4 --data SET.h5      yours; SET.h5: a data set, saved by
                                                        ns.Dataset.save or `numsnn convert`
    python examples/13_nir.py --out FILE.nir            where the tuned network goes (default: tuned.nir)

A NIR file describes continuous time.  The step (dt, in seconds), the integrator and the kind of reset with
which its network was made are not in it; ns.nir.read asks for the first and can be told the others.
"""

import argparse
import tempfile
from pathlib import Path

import h5py
import numpy as np

import numsnn as ns

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("file", nargs="?", help="a NIR file")
parser.add_argument("--dt", type=float, default=1e-3, help="its step in seconds (default 1e-3)")
parser.add_argument("--data", help="data set of the file's network")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--out", default="tuned.nir")
options = parser.parse_args()
if options.file and not options.data:
    parser.error("a file of yours needs its data, --data SET.h5")


def a_file_of_another_library(path):
    """4 inputs, 36 recurrent LIF neurons, 6 leaky integrators: weights drawn, time constants in seconds."""
    rng = np.random.default_rng(0)

    def matrix(n_out, n_in, scale):
        return {"type": "Affine", "weight": rng.normal(0, scale / n_in ** 0.5, (n_out, n_in)),
                "bias": np.zeros(n_out)}
    leaky = {"tau": np.full(36, 0.02), "r": np.full(36, 20.0), "v_leak": np.zeros(36)}
    nodes = {
        "input": {"type": "Input", "shape": np.array([4])},
        "fc1": matrix(36, 4, 1.5),
        "lif1": {"type": "LIF", **leaky, "v_threshold": np.ones(36), "v_reset": np.zeros(36)},
        "lif1.w_rec": matrix(36, 36, 0.5),
        "fc2": matrix(6, 36, 1.0),
        "li": {"type": "LI", **{name: array[:6] for name, array in leaky.items()}},
        "output": {"type": "Output", "shape": np.array([6])}}
    edges = [("input", "fc1"), ("fc1", "lif1"), ("lif1", "lif1.w_rec"), ("lif1.w_rec", "lif1"),
             ("lif1", "fc2"), ("fc2", "li"), ("li", "output")]
    with h5py.File(path, "w") as file:
        file["version"] = "1.0.8"
        file["node/type"] = "NIRGraph"
        file["node/edges"] = edges
        for name, node in nodes.items():
            for key, value in node.items():
                file[f"node/nodes/{name}/{key}"] = value
    return path


if options.file:
    path = options.file
    train, test = ns.datasets.saved.load(options.data).split(0.2, seed=0)
else:
    print("The data are SYNTHETIC: 256 records made by a model.")
    path = a_file_of_another_library(Path(tempfile.mkdtemp()) / "another.nir")
    train, test = ns.datasets.synthetic.ecg(256, seed=5).split(0.2, seed=0)

print(ns.nir.graph(path))
net = ns.nir.read(path, dt=options.dt)
if not train.per_step:                  # one answer for a sequence: the mean over its steps
    net = net.extended(ns.OverTime("mean"))
print(net.summary())
print(f"as it came: {100 * ns.evaluate(net, test, rates=False).accuracy:.2f} %")

ns.fit(net, train, test, loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(1e-2), epochs=options.epochs,
       batch_size=32)
print(f"fine-tuned: {100 * ns.evaluate(net, test, rates=False).accuracy:.2f} %")
print(ns.energy.table(net, test))

ns.nir.write(net, options.out)          # in seconds already: unit=1.0
again = ns.nir.read(options.out)        # dt and the rest are in the file's metadata
assert again.same_as(net)
print(f"written to {options.out}, which gives the same network again")
