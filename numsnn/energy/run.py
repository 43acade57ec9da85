"""Operations of a run, counted from its activity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..checked import checked
from ..devices.contract import valid_steps
from ..layers import Layer, Population
from ..layers.joins import INPUT
from ..layers.layer import values
from ..network.network import Network
from ..signals.spikes import Spikes
from .count import Count
from .kinds import Here, Signal, kind

PIECE = 1 << 26         # bytes of recorded activity at a time, if a single sample does not need more


@dataclass(frozen=True)
class Operations:
    """What a network did with a batch.

    layers: name -> Count of the whole batch.  spikes: name -> (spikes, neurons times steps), "input" among
    them where it spikes.  samples, steps: how many, padded steps left out (steps: of all samples together).
    """
    layers: dict[str, Count]
    spikes: dict[str, tuple[int, int]]
    samples: int
    steps: int

    def __add__(self, other: Operations) -> Operations:
        layers = {name: count + other.layers[name] for name, count in self.layers.items()}
        spikes = {}
        for name, (fired, places) in self.spikes.items():
            other_fired, other_places = other.spikes[name]
            spikes[name] = fired + other_fired, places + other_places
        return Operations(layers, spikes, self.samples + other.samples, self.steps + other.steps)

    @property
    def total(self) -> Count:
        """Of all layers and samples."""
        return sum(self.layers.values(), Count())

    @property
    def per_inference(self) -> Count:
        """Of all layers, for a sample."""
        return self.total * (1 / self.samples)

    @property
    def per_step(self) -> Count:
        """Of all layers, for a time step of a sample."""
        return self.total * (1 / self.steps)

    @property
    def rates(self) -> dict[str, float]:
        """Spikes per neuron and step, by layer."""
        return {name: fired / max(places, 1) for name, (fired, places) in self.spikes.items()}


@checked
def operations(net: Network, x: np.ndarray | Spikes, *, lengths: np.ndarray | None = None) -> Operations:
    """What a network does with a batch, counted from the activity of `net.run`.

    x: (T, B, N) values or Spikes, or what else the network takes; lengths: (B,) valid steps.  The batch goes
    through in pieces of samples, so that about 64 MB of activity are in memory at a time.  Raises ValueError
    where nothing is to be counted, or a layer's kind is unknown.
    """
    x = net._input(x)
    steps, batch = x.shape[:2]
    lengths = np.full(batch, steps) if lengths is None else net._lengths(lengths, x)
    if not lengths.sum():
        also = f", lengths {lengths.tolist()}" if batch and steps else ""
        raise ValueError(f"there is no time step to count: x has the shape {tuple(x.shape)}{also}")
    ones = _ones(net, x)
    record = _record(net, ones)
    size = _samples_of_a_piece(net, x, record)
    pieces = []
    for first in range(0, batch, size):
        part = slice(first, first + size)
        samples = x.select(part) if isinstance(x, Spikes) else x[:, part]
        pieces.append(_piece(net, samples, lengths[part], ones, record))
    return sum(pieces[1:], pieces[0])


def _samples_of_a_piece(net, x, record):
    """How many samples' activity fits into PIECE bytes, at least one."""
    recorded = sum(net.layers[name].size_out * float(net.graph.nodes[name].times) for name in record)
    values_of_a_step = x.shape[2] + recorded
    return max(1, int(PIECE // (4 * values_of_a_step * x.shape[0])))


def _ones(net, x):
    """The value of a spike of each feature that a layer hands out, 0 where it is a real number."""
    ones = {INPUT: np.full(x.shape[2], float(isinstance(x, Spikes)))}
    rounds = 1 + sum(layer.delayed for layer in net.layers.values())     # each Previous may ask for one more
    for _ in range(rounds):
        for name, node in net.graph.nodes.items():
            layer = node.layer
            sources = [ones.get(source) for source in node.sources]
            ones[name] = kind(layer).hands_out(layer, sources, layer.size_out or x.shape[2])
    return ones


def neurons_of(layer: Layer) -> Population | None:
    """The population that a layer is, or has inside."""
    if isinstance(layer, Population):
        return layer
    found = (neurons_of(inner) for inner in layer.inside())
    return next((p for p in found if p is not None), None)


def _record(net, ones):
    """What a run must show: the spikes of populations, and what else hands spikes on."""
    neurons = {name: neurons_of(layer) for name, layer in net.layers.items()}
    spiking = [name for name, p in neurons.items() if p is not None and p.model.spiking and p.surrogate.hard]
    return {name: "y" for name in net.layers if ones[name].any()} | dict.fromkeys(spiking, "spike")


class Shown(NamedTuple):
    """What a run showed of something that spikes; a spike may be negative."""
    total: np.ndarray       # (N,) over valid steps and samples
    read: np.ndarray        # (N,) of these without the last step of each sample
    busy: int               # steps of samples in which something is not 0


def _piece(net, x, lengths, ones, record):
    """Operations of some samples."""
    _, _, seen = net.run(x, lengths=lengths, record=record)
    nodes = net.graph.nodes
    own = {INPUT: lengths} | {name: node.steps(lengths) for name, node in nodes.items()}
    shown = {name: _shown(next(iter(fields.values())), own[name]) for name, fields in seen.items()}
    if ones[INPUT].any():
        shown = {INPUT: _shown(values(x, net.dtype), lengths)} | shown
    signals = {name: _signal(one, shown.get(name)) for name, one in ones.items()}
    spikes = {name: (int(a.total.sum()), len(a.total) * int(own[name].sum()))
              for name, a in shown.items() if record.get(name) != "y"}
    counts = {}
    for name, node in nodes.items():
        fired, read, _ = shown.get(name, (None, None, 0))
        sources = [signals[source] for source in node.sources]
        counts[name] = kind(node.layer).counts(node.layer, sources, Here(own[name], fired, read))
    return Operations(counts, spikes, len(lengths), int(lengths.sum()))


def _shown(a, lengths):
    a = np.abs(a.reshape(*a.shape[:2], -1))
    a[~valid_steps(*a.shape[:2], lengths)[..., 0]] = 0
    total = a.sum((0, 1), dtype=np.float64)
    not_empty = np.flatnonzero(lengths)
    in_last_steps = a[lengths[not_empty] - 1, not_empty].sum(0, dtype=np.float64)
    return Shown(total, total - in_last_steps, int(a.any(2).sum()))


def _signal(one, shown):
    """What a layer hands out, one being the value of a spike of each feature."""
    real = one == 0
    if shown is None:
        return Signal(np.zeros(len(one), np.int64), real, 0)
    spikes = np.rint(shown.total / np.where(real, 1, one))
    return Signal(np.where(real, 0, spikes).astype(np.int64), real, shown.busy)
