"""Random networks on the CUDA device against the reference, whose forward pass has the bits of the CPU's.

random_networks.py FILE FIRST LAST EVERY writes a line of JSON for each network, from FIRST on every so many.

Sums are fused on a GPU: its numbers differ by rounding, and spikes may flip.  How far rounding carries is
seen in each network by itself, from the reference in float64: the GPU's numbers must be no further from
those than FAR times as far as the reference's in float32, or 4 sqrt(n) eps of the largest one, n being the
additions that lie behind a number.  The first spike of a sample that flips must lie as close to its
threshold; answers and gradients are compared on the samples where none does.
"""

import json
import sys
import time
from pathlib import Path

import notes
import numpy as np
from cuda_compare import EPS, LITTLE, SMALL
from drawn import FEW, FULL, network

import numsnn as ns

LOSS, FAR = ns.loss.CrossEntropy(), 16
NOTHING = 1e-20         # a device may take exp of less than -60 for zero: what is smaller tells nothing
LIMITS = {"distance": "a spike flips far from its threshold", "answer": "answers differ",
          "loss": "losses differ", "gradient": "gradients differ, most that of"}


def compared(seed):
    """What the devices make of a network: facts, of which `wrong` is empty where all is well."""
    drawn = network(seed, FEW if notes.SMALL else FULL)
    here = drawn.net
    nets = here, here.clone(device="cuda"), here.clone(dtype="float64")
    facts = {"seed": seed, "network": [layer.describe() for layer in here.layers.values()],
             "shape": list(drawn.x.shape[:2])}
    samples, more = without_flips(nets, drawn)
    facts |= more | (same_gradients(nets, of_samples(drawn, samples), seed) if samples else {})
    facts["pieces"] = pieces_are_equal(nets[1], drawn)
    wrong = [f"{said} {facts.get('worst', '')}" if key == "gradient" else said
             for key, said in LIMITS.items() if not facts.get(key, 0.0) <= 1]
    wrong += [] if facts.get("twice", True) else ["other bytes the second time"]
    wrong += ["pieces of a sequence give other bytes than the whole"] if facts["pieces"] is False else []
    return {**facts, "wrong": wrong}


def additions(net, steps):
    """How many lie behind a number, at most: the inputs of all layers in all steps."""
    return steps * sum(max(p.shape[0], 1) for p in net.params.values() if p.ndim > 1)


# ---- spikes


def without_flips(nets, drawn):
    """(the samples of which all spikes are the same on all three, facts about the others)."""
    steps, batch = drawn.x.shape[:2]
    fields = {name: ("spike", "v", "theta") for name, layer in nets[0].layers.items()
              if isinstance(layer, ns.Population) and layer.model.spiking}
    if not fields:
        return list(range(batch)), {"samples": batch, "flips": 0, "rate": None}
    here, there, exact = (flat(net.run(drawn.x, lengths=drawn.lengths, record=fields)[2]) for net in nets)
    rate = float(np.mean([seen["spike"].mean() for seen in here.values()]))
    first = [firsts(here, other, batch) for other in (there, exact)]
    samples = [b for b in range(batch) if b not in first[0] and b not in first[1]]
    n, apart = additions(nets[0], steps), [0.0]
    for name, t, b, which in first[0].values():
        v, theta, v64 = here[name]["v"], here[name]["theta"], exact[name]["v"]
        rounding = np.abs(v - v64)[:, samples].max(initial=0.0)
        bound = FAR * rounding + 4 * n ** 0.5 * EPS * max(np.abs(v).max(), np.abs(theta).max())
        apart.append(float(np.abs(v - theta)[t, b][which].max() / bound))
    return samples, {"samples": batch, "flips": len(first[0]), "distance": max(apart), "rate": rate}


def flat(seen):
    """What was recorded, (T, B, N), pictures too."""
    return {name: {field: a.reshape(*a.shape[:2], -1) for field, a in fields.items()}
            for name, fields in seen.items()}


def firsts(here, other, batch):
    """{sample: (population, step, sample, neurons)} of the first spikes that one has and the other has not.

    Of several populations in that step the first: others may follow from it.
    """
    differ = {name: here[name]["spike"] != other[name]["spike"] for name in here}
    found = {}
    for b in range(batch):
        when = {name: int(d[:, b].any(1).argmax()) for name, d in differ.items() if d[:, b].any()}
        if when:
            name = min(when, key=when.get)      # of equal ones the first, as they stand in the network
            found[b] = name, when[name], b, differ[name][when[name], b]
    return found


# ---- answers and gradients


def of_samples(drawn, samples):
    """The network, and some samples of the batch."""
    x = drawn.x.select(samples) if isinstance(drawn.x, ns.Spikes) else drawn.x[:, samples]
    lengths = None if drawn.lengths is None else drawn.lengths[samples]
    return drawn._replace(x=x, lengths=lengths, labels=drawn.labels[..., samples])


def same_gradients(nets, drawn, seed):
    """How far answer, loss and gradients are off, in bounds; whether a second time gives the same bytes."""
    def result(net):
        return net.loss_and_gradients(LOSS, drawn.x, drawn.labels, lengths=drawn.lengths,
                                      rng=np.random.default_rng(seed))

    here, there, exact = map(result, nets)
    if not all(np.isfinite(a).all() for a in (here.loss, here.y, *here.grads.values())):
        return {"overflows": True}      # a resonator that grows: nothing can be said
    again = result(nets[1])
    steps, batch = drawn.x.shape[:2]
    n = additions(nets[0], steps)
    off = {name: far(g, there.grads[name], exact.grads[name], n + steps * batch)
           for name, g in here.grads.items()}
    worst = max(off, key=lambda name: np.inf if np.isnan(off[name]) else off[name])
    twice = there.loss == again.loss and bytes_of(there.y) == bytes_of(again.y) and all(
        bytes_of(g) == bytes_of(again.grads[name]) for name, g in there.grads.items())
    return {"answer": far(here.y, there.y, exact.y, n), "loss": far(here.loss, there.loss, exact.loss, n),
            "gradient": off[worst], "worst": worst, "twice": twice}


def bytes_of(a):
    return np.asarray(a).tobytes()


def far(here, there, exact, n):
    """The largest distance from the float64 numbers, in bounds."""
    here, there, exact = (np.asarray(a, np.float64) for a in (here, there, exact))
    own, largest = np.abs(here - exact).max(initial=0.0), np.abs(exact).max(initial=0.0)
    bound = FAR * own + 4 * n ** 0.5 * EPS * largest + NOTHING
    return float(np.abs(there - exact).max(initial=0.0) / bound)


def pieces_are_equal(there, drawn):
    """Whether a sequence in two pieces gives the bytes of the whole; None where that is not promised.

    Delays that are learned round differently where a sequence is cut.
    """
    steps = drawn.x.shape[0]
    learned = any("delay" in name for name in there.params)
    if drawn.lengths is not None or learned or steps < 2:
        return None
    whole, _ = there.run(drawn.x)
    first, state = there.run(drawn.x[:steps // 2])
    second, _ = there.run(drawn.x[steps // 2:], state)
    parts = np.concatenate((first, second)) if there.layers[there.graph.answer].answers_each_step else second
    return bytes_of(parts) == bytes_of(whole)


def main(file, first, last, every):
    np.seterr(all="ignore")
    for module, name, value in LITTLE if SMALL else ():
        setattr(module, name, value)
    with Path(file).open("w") as out:
        for seed in range(first, last, every):
            if notes.seconds_left() < 0:
                break
            begun = time.monotonic()
            try:
                facts = compared(seed)
            except Exception as error:      # noqa: BLE001  whatever one says, others follow
                facts = {"seed": seed, "wrong": [f"{type(error).__name__}: {error}"]}
            print(json.dumps({**facts, "seconds": time.monotonic() - begun}), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
