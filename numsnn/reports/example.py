"""One sequence of a data set through a network of any kind, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..datasets import Dataset
from ..datasets.checks import is_per_step
from ..datasets.dataset import Batch
from ..layers import Reverse
from ..network.network import Network
from ..signals.spikes import Spikes
from .overtime import LINES, sequence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POPULATIONS = 4             # that are drawn
MEMBRANE = ("v", "theta", "spike")
FEW = 0.2                   # spikes per step of a neuron that is good to look at


class _Seen(NamedTuple):
    """What a run showed of the populations, (T, N) each."""
    spikes: dict[str, np.ndarray]
    neurons: list[tuple]
    values: dict[str, Any]


def example(net: Network, data: Dataset, sample: int | None = None, *, step: float = 1.0, unit: str = "steps",
            inputs: np.ndarray | None = None, input_names: Sequence[str] | None = None,
            title: str | None = None) -> Figure:
    """One sequence through a network: input, spikes, membranes, values and answers over time.

    Of each spiking population its spikes, and the membrane of the neuron whose threshold moves most; of one
    that does not spike its values.  Of more than 4 populations the first two and the last two.  Labels stand
    beside what the network answers at each step, or has answered so far.

    sample: which; None: the one with most labelled steps, where these are known, else the first.
    step: of time, in `unit`.  inputs: (T, N) what to draw as input; None: what the network is given.
    """
    if sample is None:
        sample = 0 if data.labelled is None else int(data.labelled.sum(0).argmax())
    if not 0 <= sample < len(data):
        raise ValueError(f"{data.name or 'the data'} has the sequences 0 to {len(data) - 1}; got {sample!r}")
    batch = next(data[sample].batches(1))
    names, left_out = _populations(net)
    record = {name: _fields(net.layers[name]) for name in names}
    y, _, found = net.run(batch.x, lengths=batch.lengths, record=record)
    padded = batch.x.shape[0]
    steps = padded if batch.lengths is None else max(int(batch.lengths[0]), 1)
    classes = _class_names(data, y.shape[-1])
    forwards = {name: _forwards(net, name, fields, padded, steps) for name, fields in found.items()}
    seen = _seen(forwards, classes)
    labels, values, verdict = _answers(net, data, _cut(batch, steps), y)
    if title is None:
        title = f"{data.name or 'data'}: sequence {sample + 1}{verdict}"
    return sequence(np.arange(steps) * step, _input(net, batch.x[:steps]) if inputs is None else inputs,
                    seen.spikes, seen.neurons, labels, classes, unit=unit, input_names=input_names,
                    values=seen.values | values, title=title + left_out)


def _cut(batch: Batch, steps: int) -> Batch:
    """The batch of one sequence without its padding."""
    mask = None if batch.mask is None else batch.mask[:steps]
    y = batch.y[:steps] if is_per_step(batch.y) else batch.y
    return batch._replace(x=batch.x[:steps], y=y, mask=mask)


def _populations(net):
    """(names of the populations that are drawn, what is said of the others)."""
    names = [name for name, layer in net.layers.items() if layer.recordable()]
    if len(names) <= POPULATIONS:
        return names, ""
    half = POPULATIONS // 2
    return names[:half] + names[-half:], f"; {POPULATIONS} of {len(names)} populations"


def _fields(layer) -> tuple[str, ...]:
    """What is recorded: membrane, threshold and spikes where there are spikes, else what is handed out."""
    known = layer.recordable()
    membrane = tuple(field for field in MEMBRANE if field in known)
    return membrane if "rate" in known and "spike" in known else ("y",)


def _forwards(net, name, fields, padded, steps):
    """What was recorded of a layer, (T, N) each, on the steps of the input, in their order."""
    way = -1 if _hears_backwards(net, name) else 1
    return {field: _in_time(a.reshape(len(a), -1), padded)[:steps][::way] for field, a in fields.items()}


def _hears_backwards(net, name) -> bool:
    """Whether an odd number of `Reverse` lies before a layer."""
    turned: dict[str, bool] = {}
    for node in net.graph.nodes.values():
        before = any(turned.get(source, False) for source in node.sources)
        turned[node.name] = before != isinstance(node.layer, Reverse)
    return turned[name]


def _seen(found, classes) -> _Seen:
    seen = _Seen({}, [], {})
    for name, flat in found.items():
        if "spike" not in flat:
            y = flat["y"]
            one_each = y.shape[1] == len(classes) <= LINES
            seen.values[name] = dict(zip(classes, y.T, strict=True)) if one_each else y
            continue
        seen.spikes[name] = flat["spike"]
        if len(flat) == len(MEMBRANE):
            i = _to_draw(**flat)
            one = (flat[field][:, i] for field in MEMBRANE)
            seen.neurons.append((f"{name}, neuron {i + 1}", *one))
    return seen


def _in_time(a, steps):
    """(T, N) of what has more or fewer steps than the input (Repeat, PoolTime), on the input's steps."""
    return a if len(a) == steps else a[np.arange(steps) * len(a) // steps]


def _to_draw(v, theta, spike) -> int:
    """The neuron whose threshold moves most, one that spikes if there is one.

    Where no threshold moves, a neuron that spikes now and then.
    """
    moves = np.ptp(theta, axis=0) / np.maximum(np.ptp(v, axis=0), 1e-6)
    if spike.any():
        moves = np.where(spike.any(0), moves, 0)
    if moves.max() > 1e-5:
        return int(moves.argmax())
    return int(np.abs(spike.mean(0) - FEW).argmin())


def _input(net, x) -> np.ndarray:
    """What to draw as input: (T, N), or pictures (T, C, H, W)."""
    dense = x.dense() if isinstance(x, Spikes) else np.asarray(x)
    if net._first.reads_tokens:
        dense = dense.astype(float)             # numbers of words, not spikes
    shape = net.input_shape
    if shape is not None and len(shape) == 3:
        return dense.reshape(len(dense), *shape)
    return dense.reshape(len(dense), -1)


def _class_names(data, n) -> list[str]:
    """A name for each output; none where they are no classes."""
    if data.has_targets:
        return []
    return [*data.classes, *map(str, range(len(data.classes), n))]


# ---- answers


def _answers(net, data, batch, y) -> tuple[dict, dict, str]:
    """(bands of labels, values over time, what the title says)."""
    each = net._last.answers_each_step
    if data.has_targets:
        return _of_targets(batch.y, y, each)
    if each:
        true = batch.y[:, 0]
        predicted = y[:len(true), 0].argmax(-1)
        counts = np.ones(len(true), bool) if batch.mask is None else batch.mask[:, 0]
        bands = {"true": true, "predicted": predicted}
        if not counts.any():
            return bands, {}, ", no step of which counts"
        return bands, {}, f", {100 * (true == predicted)[counts].mean():.1f} % of its steps right"
    label, answer = int(batch.y[0]), int(y[0].argmax())
    names = _class_names(data, y.shape[-1])
    verdict = f", {names[label]}: answered {names[answer]}"
    steps = batch.x.shape[0]
    so_far = _so_far(net, batch.x)
    answers = {"answer": np.full(steps, answer)} if so_far is None else {"answer so far": so_far}
    return {"true": np.full(steps, label)} | answers, {}, verdict


def _of_targets(target, y, each):
    if not each:
        pairs = zip(target[0], y[0], strict=True)
        return {}, {}, "; target and answer " + ", ".join(f"{a:.3g} and {b:.3g}" for a, b in list(pairs)[:3])
    k = min(target.shape[-1], POPULATIONS)
    y = y[:len(target), 0]
    return {}, {f"value {i + 1}": {"target": target[:, 0, i], "answer": y[:, i]} for i in range(k)}, ""


def _so_far(net: Network, x: Any) -> np.ndarray | None:
    """(T,) the class that the network answers after each step; None where it cannot go step by step."""
    layers = list(net.layers.values())
    same_steps = all(node.times == 1 for node in net.graph.nodes.values())
    if not same_steps or not all(layer.causal for layer in layers) or layers[0].reads_tokens:
        return None
    answers, state = [], None
    for t in range(x.shape[0]):
        y, state = net.step(x[t] if isinstance(x, np.ndarray) else x[t:t + 1], state)
        answers.append(int(y[0].argmax()))
    return np.array(answers)
