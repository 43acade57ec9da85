"""Networks of every kind, and their C compiled for this machine and called."""

import ctypes
import shutil
import subprocess
from itertools import count, product

import numpy as np
import pytest

import numsnn as ns
from numsnn.export.c_code import CCode

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler (cc, gcc, clang) on this machine")
STRICT = ["-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic", "-ffp-contract=off"]
TYPES = {"float": "f4", "uint8_t": "u1", "int16_t": "i2", "int32_t": "i4", "int64_t": "i8"}
WIDE = {"weight": ("uniform", -2, 2), "bias": ("uniform", -1, 1)}


def network(*layers, **more):
    return ns.Network(*layers, device="reference", **more)


def of_neurons(name, recurrent):
    """A small network around a population of any model."""
    model = ns.neurons.NEURONS[name]
    gates = len(model.feedforward)
    biases = {"recurrent_bias_init": ("uniform", -1, 1)} if recurrent else {}
    settings, dt, weights = of_resonators() if "omega" in model.Settings._fields else ({}, 1.0, WIDE)
    layer = ns.population(model)(6, recurrent=recurrent, **biases, **settings)
    return network(ns.Dense(5, gates * 6, **weights), layer, ns.Dense(6, 3), ns.LI(3), ns.OverTime("mean"),
                   dt=dt)


def of_resonators():
    """Settings, dt and weights with which they swing, and do not grow: small steps, large currents."""
    settings = {"omega": ("uniform", 3, 10), "damping": ("uniform", 0.1, 1)}
    return settings, 0.05, {"weight": ("uniform", -40, 40)}


def rounded(*layers):
    net = network(*layers)
    assert net.round_delays() >= 7
    return net


def over_time(reduce, of, start):
    return network(ns.Dense(5, 3), ns.LI(3), ns.OverTime(reduce, of=of, start=start))


ANSWERS = [*product(("sum", "mean", "max", "last"), ("value", "softmax"), (0, 3)), ("each", "value", 0),
           ("each", "softmax", 0)]
NETWORKS = {
    **{f"{name}{'_recurrent' * recurrent}": lambda name=name, recurrent=recurrent: of_neurons(name, recurrent)
       for name in ns.neurons.NEURONS for recurrent in (False, True)},
    **{f"{reduce}_{of}_{start}": lambda r=reduce, o=of, s=start: over_time(r, o, s)
       for reduce, of, start in ANSWERS},
    "lif_hard": lambda: network(
        ns.Dense(5, 6, **WIDE), ns.LIF(6, reset="hard", v_reset=-0.25), ns.OverTime()),
    "lif_each_its_own": lambda: network(
        ns.Dense(5, 6, **WIDE), ns.LIF(6, tau_mem=("uniform", 2, 9), v_threshold=("uniform", 0.5, 1.5))),
    "recurs_v": lambda: network(ns.Dense(5, 6, **WIDE), ns.LIF(6, recurrent="v")),
    "embedding": lambda: network(ns.Embedding(9, 5, weight=("uniform", -2, 2)), ns.LIF(5)),
    "embedding_padding": lambda: network(ns.Embedding(9, 5, padding=0), ns.LIF(5)),
    "pictures": lambda: network(
        ns.Conv2d(2, 4, 3, padding=1, bias=("uniform", -1, 1)), ns.BatchNorm(), ns.LIF(), ns.AvgPool2d(2),
        ns.Conv2d(4, 3, 3, stride=2), ns.LayerNorm(axes="channels"), ns.Activation("selu"), ns.MaxPool2d(2),
        ns.Flatten(), ns.Dense(3, 4), input_shape=(2, 12, 12)),
    "sequences": lambda: network(
        ns.Conv1d(2, 4, 3, padding=1, dilation=2), ns.LIF(), ns.SumPool1d(2), ns.Flatten(), ns.LayerNorm(),
        ns.Ternary(), input_shape=(2, 10)),
    "padded_windows": lambda: network(
        ns.SumPool2d((2, 3), stride=(1, 2), padding=(1, 2)), ns.LIF(), ns.AvgPool2d(3, stride=2, padding=1),
        input_shape=(2, 5, 6)),
    "between": lambda: network(
        ns.Delay(2), ns.Dense(5, 6, **WIDE), ns.Scale(("normal", 1, 0.5)), ns.Threshold(v_threshold=0.3),
        ns.Delay((0, 3, 1, 1, 5, 2)), ns.Dense(6, 3), ns.Delay((0, 1, 0)), ns.Threshold(comparator=">=")),
    "delays_rounded": lambda: rounded(
        ns.Dense(5, 6, **WIDE), ns.LIF(6), ns.Delay(max=4), ns.Dense(6, 3), ns.Delay(max=3, per="layer"),
        ns.LIF(3)),
    "delays_of_synapses": lambda: rounded(
        ns.Dense(5, 6, **WIDE, delays=ns.Delays(6, kernels=2)), ns.LIF(6),
        ns.Dense(6, 4, **WIDE, delays=ns.Delays(3)), ns.LIF(4),
        ns.Dense(4, 3, delays=ns.Delays(2, position=0.0), bias=False), ns.LI(3)),
    "delays_recurrent": lambda: rounded(
        ns.Dense(5, 9, **WIDE), ns.ALIF(9, recurrent=ns.Delays(6, axonal=True)), ns.Dense(9, 7, **WIDE),
        ns.LIAF(7, recurrent=ns.Delays(3, axonal=True)), ns.Dense(7, 3), ns.LI(3)),
    "delays_recurrent_of_synapses": lambda: rounded(
        ns.Dense(5, 9, **WIDE), ns.ALIF(9, recurrent=ns.Delays(6)),
        ns.LIF(9, recurrent=ns.Delays(1, position=0.0), v_threshold=0.5), ns.Dense(9, 28, **WIDE),
        ns.LSTM(7, recurrent=ns.Delays(2)), ns.Dense(7, 3, **WIDE), ns.LI(3)),
    "delays_long": lambda: rounded(ns.Dense(60, 20, delays=ns.Delays(300)), ns.LI(20)),
    "groups": lambda: network(
        ns.Conv2d(2, 4, 3, padding=1, groups=2, bias=("uniform", -1, 1)), ns.LIF(v_threshold=0.2),
        ns.Conv2d(4, 4, 3, groups=4), input_shape=(2, 5, 5)),
    "residual": lambda: network(
        ns.Dense(5, 5), ns.Residual(ns.Dense(5, 5), ns.LIF(5)),
        ns.Residual(ns.Dense(5, 7), ns.Activation("tanh"), shortcut=ns.Dense(5, 7))),
    "feedback": lambda: network(
        ns.Previous("out", shape=3, name="before"), ns.Concatenate("input", "before"), ns.Dense(8, 6, **WIDE),
        ns.LIF(6), ns.Dense(6, 3, **WIDE), ns.LIF(3, name="out"), ns.OverTime("sum"), input_shape=5),
    "repeat": lambda: network(ns.Dense(5, 5, **WIDE), ns.Repeat(4), ns.LIF(5), ns.Dense(5, 3, **WIDE),
                              ns.LIF(3), ns.OverTime("mean")),
    "membrane_norm": lambda: network(ns.Dense(5, 6), ns.MembraneNorm(ns.LIAF(6), ns.LayerNorm())),
    "conv_arlif": lambda: network(ns.ConvARLIF2D(2, 3, 3), ns.OverTime("sum"), input_shape=(2, 6, 6)),
    "conv_lstm": lambda: network(ns.ConvLSTM2D(2, 3, 3), ns.OverTime("sum"), input_shape=(2, 6, 6)),
    "dropout": lambda: network(ns.Dense(5, 6, **WIDE), ns.Dropout(0.3), ns.LIF(6), ns.TimeDistributed(
        ns.Dense(6, 3))),
}
# where sums run in another order than the reference's, which goes through BLAS or NumPy's pairwise sums
ROUNDED = {"pictures", "groups", "membrane_norm", "conv_arlif", "conv_lstm"}


def inputs(net, rng, steps, batch, scale=1.0):
    """(T, B, N) values and, in turns, spikes; tokens (T, B, 1)."""
    first = next(iter(net.layers.values()))
    if first.reads_tokens:
        return rng.integers(0, first.n_tokens, (steps, batch, 1)).astype("f4")
    n = int(np.prod(net.input_shape))
    x = rng.normal(0, scale, (steps, batch, n))
    x[1::2] = rng.random((len(x[1::2]), batch, n)) < 0.4
    return x.astype("f4")


def as_given(net, now):
    """A step (B, N) of `inputs` as `net.step` takes it."""
    first = next(iter(net.layers.values()))
    return now[:, 0].astype(int) if first.reads_tokens else now.reshape(len(now), *net.input_shape)


class Compiled:
    """The C of a program; `step` and `step_events` as the functions of the header."""

    numbers = count()

    def __init__(self, program, arithmetic, folder, events=False, flags=(), language="c99"):
        self.code = CCode(program, "net", arithmetic, events)
        members = "\n".join(map(str, self.code.members()))
        heads = "".join(f"{head};\n" for head in self.code.prototypes().values())
        extern = 'extern "C" {\n' if language != "c99" else ""
        text = (f"#include <stdint.h>\n#include <string.h>\n{extern}"
                f"typedef struct {{\n{members}\n}} net_state;\n{heads}"
                f"uint32_t net_size(void);\nuint32_t net_size(void) {{ return sizeof(net_state); }}\n"
                f"{self.code.source()}{'}' if extern else ''}")
        path = folder / f"net{next(self.numbers)}.c"
        path.write_text(text)
        command = [COMPILER, "-x", "c" if language == "c99" else "c++", f"-std={language}", "-O1", *STRICT,
                   *flags, "-shared", "-fPIC", "-o", path.with_suffix(".so"), path]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr
        self.library = ctypes.CDLL(str(path.with_suffix(".so")))
        assert self.library.net_size() == self.code.state_bytes
        self.state = ctypes.create_string_buffer(self.code.state_bytes + 64)
        self.types = [TYPES[arithmetic.type_of(a)] for a in (program.input, program.output)]
        self.library.net_reset(self.state)

    def step(self, x):
        x = np.ascontiguousarray(x, self.types[0])
        y = np.zeros(self.code.program.output.n, self.types[1])
        self.library.net_step(self.state, _pointer(x), _pointer(y))
        return y

    def step_events(self, indices):
        indices = np.asarray(indices, "u2")
        y = np.zeros(self.code.program.output.n, self.types[1])
        count = ctypes.c_uint32(len(indices))
        self.library.net_step_events(self.state, _pointer(indices), count, _pointer(y))
        return y

    @property
    def decision(self):
        return self.library.net_decision(self.state)


def _pointer(a):
    return a.ctypes.data_as(ctypes.c_void_p)
