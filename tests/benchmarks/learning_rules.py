"""Learning rules beside BPTT on real data: how gradients point, what they cost, what is learned.

    python tests/benchmarks/learning_rules.py cosines --ecg qtdb_coded [--fsdd fsdd_recordings.zip]
    python tests/benchmarks/learning_rules.py costs
    python tests/benchmarks/learning_rules.py results --ecg qtdb_coded [--epochs 100] [--rules bptt eprop]
        [--seeds 0 1]
    python tests/benchmarks/learning_rules.py digits --fsdd fsdd_recordings.zip [the same]
    python tests/benchmarks/learning_rules.py recall [the same]

cosines: between the gradient of a rule and that of BPTT, parameter by parameter, of the network of recipe
srnn-ecg (as it is drawn, and trained: model srnn-ecg) and of 128 recurrent ALIF neurons that hear spoken
digits; loss in each step.  costs: time of a step of the ECG network, a batch of 64 and a stream of one, and
the peak of traced memory.  results: the ECG network trained by each rule.  digits: 128 recurrent ALIF neurons
behind 140 channels hear spoken digits, say at each step which it is, and are judged by the sum over steps.
recall: 50 adaptive neurons that learn to say which of two kinds of cue came more often, some time after the
last (Bellec et al. 2020, evidence accumulation, of another length).  Of each rule: test accuracy, CPU seconds
of an epoch, and the peak of traced memory of a training of one batch.  One thread.
"""

import argparse
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

import numsnn as ns
from numsnn.datasets import shd, speech
from numsnn.datasets.recordings import Bins
from numsnn.recipes import srnn_ecg
from numsnn.rules.batch import Rule, named

RANDOM = {"name": "eprop", "feedback": "random"}
ADAPTIVE = {"name": "eprop", "feedback": "adaptive"}
RULES = {"bptt": "bptt", "eprop": "eprop", "random": RANDOM, "adaptive": ADAPTIVE, "ottt": "ottt",
         "sltt": "sltt", "fptt": "fptt"}
LOSS = ns.loss.CrossEntropy()


def ecg(learn=True, seed=0):
    """The network of recipe srnn-ecg; without settings that are learned it suits OTTT and SLTT too."""
    net = srnn_ecg.network(srnn_ecg.OPTIONS, seed)
    if learn:
        return net
    config = net.config()
    for layer in config["layers"]:
        layer.pop("learn", None)
        layer.pop("learn_as", None)
    return ns.Network.from_config(config)


def gradients(net, rule, x, labels):
    if rule == "bptt":
        return net.loss_and_gradients(LOSS, x, labels, rng=np.random.default_rng(0)).grads
    found = Rule(net, LOSS, *named(rule), seed=0).loss_and_gradients(
        net, LOSS, x, labels, mask=None, lengths=None, rng=np.random.default_rng(0))
    return found.grads


# ---- cosines


def cosine(a, b):
    """In words; a dash where there is no gradient."""
    a, b = np.ravel(a).astype("f8"), np.ravel(b).astype("f8")
    return f"{a @ b / np.linalg.norm(a) / np.linalg.norm(b):.3f}" if a.any() and b.any() else "-"


def table(title, net, x, labels):
    print(f"\n{title}\n\n| parameter | e-prop | e-prop, random feedback |\n| --- | --- | --- |")
    wanted = gradients(net, "bptt", x, labels)
    found = [gradients(net, rule, x, labels) for rule in ("eprop", RANDOM)]
    for name, w in wanted.items():
        cosines = " | ".join(cosine(f[name], w) for f in found)
        print(f"| `{name}` | {cosines} |", flush=True)


def digits(path, n=32):
    """Spikes (T, B, 700) of some recordings and the digit at each step."""
    with tempfile.TemporaryDirectory() as folder:
        speech.fsdd_spikes(path, Path(folder) / "valid.h5", "valid", hold_out="index")
        data = shd.layout(Path(folder) / "valid.h5").dataset(Bins(dt=10e-3), memory=True)
        batch = next(data[np.arange(0, len(data), max(1, len(data) // n))[:n]].batches(n))
    return batch.x, np.repeat(batch.y[None], batch.x.shape[0], 0)


def cosines(options):
    data = srnn_ecg.data(options.ecg)
    batch = next(data.test[:64].batches(64))
    table("ECG, as drawn", ecg(), batch.x, batch.y)
    table("ECG, trained", ns.models.load("srnn-ecg"), batch.x, batch.y)
    if options.fsdd:
        x, labels = digits(options.fsdd)
        hidden = ns.ALIF(128, recurrent=True, tau_mem=10, tau_adp=50, v_threshold=0.1,
                         learn=("tau_mem", "tau_adp"))
        readout = ns.Dense(128, 10), ns.LI(10, tau_mem=10, learn="tau_mem")
        net = ns.Network(ns.Dense(700, 128), hidden, *readout, seed=0)
        table("Spoken digits, as drawn", net, x, labels)


# ---- costs


def fastest(run, times):
    """Seconds of this thread, the best of some."""
    run()
    best = np.inf
    for _ in range(times):
        started = time.thread_time()
        run()
        best = min(best, time.thread_time() - started)
    return best


def costs(options):
    rng = np.random.default_rng(0)
    x, labels = rng.random((1300, 64, 4)) < 0.1, rng.integers(0, 6, (1300, 64))
    print("| rule | ms, 64 sequences of 1,300 steps | of BPTT |\n| --- | --- | --- |")
    reference = None
    for rule in ("bptt", "eprop", "ottt", "sltt"):
        net = ecg(learn=rule in ("bptt", "eprop"))
        seconds = fastest(lambda net=net, rule=rule: gradients(net, rule, x, labels), 3)
        reference = reference or seconds
        print(f"| {rule} | {1e3 * seconds:.0f} | {seconds / reference:.1f} |", flush=True)
    one, label = rng.random((1, 4)).astype("f4"), np.array([0])
    net, optimizer = ecg(), ns.optim.SGD(1e-4)
    trace, (_, state) = ns.rules.EProp(net), net.step(one)

    def learn():
        trace.step(one, label)
        optimizer.update(net.params, trace.gradients())
    print("\nstreaming, one sample, microseconds a step:")
    for what, run in (("net.step", lambda: net.step(one, state)),
                      ("EProp.step", lambda: trace.step(one, label)),
                      ("EProp.step, gradients, update", learn)):
        seconds = fastest(lambda run=run: [run() for _ in range(500)], 5) / 500
        print(f"  {what}: {1e6 * seconds:.0f}", flush=True)
    print("\n| steps | BPTT, MB | e-prop, MB |\n| --- | --- | --- |")
    for steps in (100, 1000, 10_000):
        x, labels = rng.random((steps, 8, 4)) < 0.1, rng.integers(0, 6, (steps, 8))
        peaks = []
        for rule in ("bptt", "eprop"):
            gradients(net, rule, x[:40], labels[:40])
            tracemalloc.start()
            streamed(net, x, labels) if rule == "eprop" else gradients(net, rule, x, labels)
            peaks.append(tracemalloc.get_traced_memory()[1] / 1e6)
            tracemalloc.stop()
        print(f"| {steps:,} | {peaks[0]:.2f} | {peaks[1]:.2f} |", flush=True)


def streamed(net, x, labels):
    """By hand, step by step."""
    trace = ns.rules.EProp(net, batch=x.shape[1])
    for x_t, labels_t in zip(x, labels, strict=True):
        trace.step(x_t.astype("f4"), labels_t)
    return trace.gradients()


# ---- results


def table_of_rules(options, make, sets, accuracy, every, batch_size, loss=LOSS):
    """make(rule, seed) -> (network, optimiser); accuracy(network): of the test part; every: steps of FPTT."""
    train, valid = sets
    print(f"{options.epochs} epochs, seeds {options.seeds}\n")
    print("| rule | test accuracy | seconds an epoch | memory of a batch, MB |\n| --- | --- | --- | --- |")
    for name in options.rules:
        rule = {"name": "fptt", "every": every} if name == "fptt" else RULES[name]
        found, started = [], time.thread_time()
        for seed in options.seeds:
            net, optimizer = make(name, seed)
            ns.fit(net, train, valid, loss=loss, optimizer=optimizer, epochs=options.epochs,
                   batch_size=batch_size, seed=seed, progress=False, rule=rule)
            found.append(accuracy(net))
        seconds = (time.thread_time() - started) / options.epochs / len(options.seeds)
        net, optimizer = make(name, 0)
        some = train[np.arange(0, len(train), len(train) // batch_size)[:batch_size]]
        tracemalloc.start()
        ns.fit(net, some, loss=loss, optimizer=optimizer, epochs=1, batch_size=batch_size,
               progress=False, rule=rule)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        each = ", ".join(f"{a:.4f}" for a in found)
        print(f"| {name} | {each} | {seconds:.2f} | {peak:.1f} |", flush=True)


def results(options):
    data = srnn_ecg.data(options.ecg)

    def make(rule, seed):
        learns = rule not in ("ottt", "sltt")
        factors = {"alif0.tau_*": 3.0, "alif1.tau_*": 2.0} if learns else {}
        return ecg(learns, seed), ns.optim.Adam(options.lr, schedule=ns.optim.Cosine(options.epochs),
                                                factors=factors)
    table_of_rules(options, make, (data.train, data.valid), lambda net: ns.evaluate(net, data.test).accuracy,
                   100, 64)


def spoken(path):
    """Training, validation and test part as arrays, 140 channels, with the digit at each step."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for part in ("train", "valid", "test"):
            file = Path(folder) / f"{part}.h5"
            speech.fsdd_spikes(path, file, part, hold_out="index")
            data = shd.layout(file).dataset(Bins(dt=20e-3, counts=True), memory=True,
                                            prepare=lambda events: events.pool(5))
            batch = next(data.batches(len(data)))
            steps = np.repeat(batch.y[None], batch.x.shape[0], 0)
            found.append(ns.Dataset(batch.x, steps, lengths=batch.lengths, time_first=True))
    return found


def digits_by_rule(options):
    train, valid, test = spoken(options.fsdd)

    def make(rule, seed):
        learn = () if rule in ("ottt", "sltt") else ("tau_mem", "tau_adp")
        hidden = ns.ALIF(128, recurrent=True, tau_mem=10, tau_adp=50, v_threshold=0.1, learn=learn)
        net = ns.Network(ns.Dense(140, 128), hidden, ns.Dense(128, 10), ns.LI(10, tau_mem=10), seed=seed)
        return net, ns.optim.Adam(5e-3, schedule=ns.optim.Cosine(options.epochs))

    def accuracy(net):
        batch = next(test.batches(len(test)))
        y = net.run(batch.x, lengths=batch.lengths)[0]      # 0 behind the end of a recording
        return float((y.sum(0).argmax(-1) == batch.y[0]).mean())
    table_of_rules(options, make, (train, valid), accuracy, 10, 32, ns.loss.CrossEntropy("mean"))


CUES, CUE, PAUSE, DELAY, ANSWER, GROUP = 5, 6, 3, 30, 10, 10


def evidence(n, seed):
    """n sequences: five cues from the left or the right, a delay, and the question which were more.

    40 inputs: ten for each side, ten that say when to answer, ten of noise; only the answer's steps count.
    """
    rng = np.random.default_rng(seed)
    right = rng.integers(0, 2, (n, CUES))
    rates = np.zeros((CUES * (CUE + PAUSE) + DELAY + ANSWER, n, 4))
    rates[:, :, 3] = 0.02
    for c in range(CUES):
        now = slice(c * (CUE + PAUSE), c * (CUE + PAUSE) + CUE)
        rates[now, :, :2] = 0.4 * (right[:, c, None] == (0, 1))
    rates[-ANSWER:, :, 2] = 0.4
    counts = np.zeros(rates.shape[:2], bool)
    counts[-ANSWER:] = True
    label = right.sum(1) * 2 > CUES
    return ns.Dataset(rng.random((*rates.shape[:2], 4 * GROUP)) < np.repeat(rates, GROUP, 2),
                      np.repeat(label[None].astype(int), len(rates), 0), mask=counts, time_first=True)


def recall(options):
    train, valid, test = evidence(1024, 1), evidence(256, 2), evidence(1024, 3)

    def make(rule, seed):
        hidden = ns.ALIF(50, recurrent=True, tau_mem=20, tau_adp=100, v_threshold=0.1)
        net = ns.Network(ns.Dense(40, 50), hidden, ns.Dense(50, 2), ns.LI(2, tau_mem=20), seed=seed)
        return net, ns.optim.Adam(5e-3)
    table_of_rules(options, make, (train, valid), lambda net: ns.evaluate(net, test).accuracy, 17, 64,
                   ns.loss.CrossEntropy("mean"))


if __name__ == "__main__":
    shown = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shown)
    parser.add_argument("what", choices=("cosines", "costs", "results", "digits", "recall"))
    parser.add_argument("--ecg", help="folder of the coded QT Database; None: synthetic")
    parser.add_argument("--fsdd", help="recordings of spoken digits, a zip file or folder")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--lr", type=float, default=2e-2)
    parser.add_argument("--rules", nargs="+", default=list(RULES), choices=list(RULES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    ns.set_num_threads(1)
    chosen = parser.parse_args()
    commands = {"cosines": cosines, "costs": costs, "results": results, "digits": digits_by_rule,
                "recall": recall}
    commands[chosen.what](chosen)
