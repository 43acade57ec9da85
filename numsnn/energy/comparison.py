"""A network beside others of its layer sizes, as the papers have it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..checked import checked
from ..datasets import Dataset
from ..layers import Dense, Embedding, Layer, Reverse, TimeDistributed
from ..layers.joins import INPUT
from ..layers.layer import positive_integer
from ..network.network import Network
from ..signals.spikes import Spikes
from .count import FP32, UNITS, Constants, Count, preset, unit
from .formulas import FORMULAS, Formula, conv2d, conv3d, conv_lstm2d, dense, lstm
from .run import neurons_of, operations


class Row(NamedTuple):
    """A layer: spikes per neuron and step (None where it has none), and operations per step of a sample."""
    name: str
    what: str
    rate: float | None
    count: Count            # type: ignore[assignment]  # hides what a tuple counts


class Peer(NamedTuple):
    """A network: its learned values, and its operations in an inference."""
    name: str
    parameters: int
    count: Count            # type: ignore[assignment]  # hides what a tuple counts


class Table(NamedTuple):
    """The comparison, ready to print; `peers` begins with the network itself.

    table._replace(constants=...) gives it with others.
    """
    name: str
    sizes: str
    layers: list[Row]
    peers: list[Peer]
    samples: int
    steps: float            # of a sample
    rate_in: float | None
    constants: Constants

    def energy(self, peer: int = 0) -> float:
        """pJ of an inference."""
        return self.peers[peer].count.energy(self.constants)

    def ratio(self, peer: int) -> float:
        """How many times the energy of this network another one needs."""
        return self.energy(peer) / self.energy() if self.energy() else np.inf

    def __str__(self):
        samples = _plural(self.samples, "sample")
        arrive = "real-valued" if self.rate_in is None else f"{self.rate_in:.4f} spikes per unit and step"
        head = [f"{self.name}: {samples} of {_number(self.steps)} steps, input {arrive}",
                f"energy with {self.constants}", "", "per time step of a sample"]
        return "\n".join([*head, *_aligned(self._of_layers(), 2), *self._of_peers()])

    def _of_layers(self):
        whole = sum((row.count for row in self.layers), Count())
        energy = whole.energy(self.constants)
        scale = unit(energy)
        rows = [["layer", "", "rate", "MAC", "AC (SynOps)", "update MAC", "update AC", "compare", scale,
                 "share"]]
        for row in (*self.layers, Row("all", "", None, whole)):
            c, own = row.count, row.count.energy(self.constants)
            rate = "" if row.rate is None else f"{row.rate:.4f}"
            counts = c.mac, c.ac, c.update_mac, c.update_ac, c.compare
            share = 100 * own / energy if energy else 0
            rows.append([row.name, row.what, rate, *map(_number, counts), _number(own / UNITS[scale]),
                         f"{share:.1f} %"])
        return rows

    def _of_peers(self):
        if len(self.peers) == 1:
            return []
        of_step, of_sample = unit(self.energy() / self.steps), unit(self.energy())
        rows = [["", "parameters", "MAC", "AC", f"{of_step} per step", f"{of_sample} per sample", "ratio"]]
        for i, peer in enumerate(self.peers):
            step = peer.count * (1 / self.steps)
            numbers = (step.all_mac, step.all_ac, step.energy(self.constants) / UNITS[of_step],
                       self.energy(i) / UNITS[of_sample], self.ratio(i))
            rows.append([peer.name, f"{peer.parameters:,}", *map(_number, numbers)])
        head = (f"beside networks of the same layer sizes, {self.sizes}, by formula; "
                f"MAC and AC per time step of a sample")
        return ["", head, *_aligned(rows, 1)]


def _number(value):
    """A count or an energy, to three digits or more."""
    if value >= 1000 or abs(value - round(value)) < 1e-9 * max(1, value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 100 else f"{value:.3g}"


def _plural(n, what):
    return f"{n:,} {what}{'s' * (n != 1)}"


def _aligned(rows, left):
    """Columns of text, the first `left` of them to the left, with a line under the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) if i < left else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


@checked
def table(net: Network, data: Dataset | np.ndarray | Spikes, *, lengths: np.ndarray | None = None,
          constants: Constants | str | tuple = FP32, batch_size: int = 64) -> Table:
    """A network, counted on data, beside networks of the same layer sizes, by formula.

    data: a Dataset, which goes through in batches, or x (T, B, N) with `lengths`.

    What takes the place of every hidden population, with all synapses that lead to it: SimpleRNN, GRU, LSTM
    and bidirectional LSTM; of a network with convolutions Conv2d at every step, Conv3D with kernels over 3
    steps, and ConvLSTM2D (LSTM where layers are dense).  What reads the answer out is Dense in all of them;
    every other layer (embedding, pools, norms, OverTime) is the same in all of them, with the operations
    counted here.
    """
    which = preset(constants)
    if isinstance(data, Dataset):
        counted, title = _counted_in_batches(net, data, batch_size), data.name or "data"
    else:
        counted, title = operations(net, data, lengths=lengths), "batch"
    steps = counted.steps / counted.samples
    rates = counted.rates
    rows = [Row(name, net.layers[name].describe(), rates.get(name), count * (1 / counted.steps))
            for name, count in counted.layers.items()]
    same = [name for name, layer in net.layers.items() if not _replaced(layer)]
    shared = sum((counted.layers[name] for name in same), Count()) * (1 / counted.samples)
    parameters = sum(p.size for name in same for p in net.layers[name].params.values())
    sizes, others = peers(net)
    own = Peer("this network", net.n_params, counted.per_inference)
    beside = [Peer(name, one.parameters + parameters, one.count * steps + shared) for name, one in others]
    return Table(title, sizes, rows, [own, *beside], counted.samples, steps, rates.get(INPUT), which)


def _counted_in_batches(net, data, batch_size):
    if not len(data):
        raise ValueError(f"data set {data.name!r} is empty; there is nothing to count")
    batches = data.batches(positive_integer(batch_size, "batch_size"))
    pieces = [operations(net, batch.x, lengths=batch.lengths) for batch in batches]
    return sum(pieces[1:], pieces[0])


# ---- the others


class Cell(NamedTuple):
    """Synapses and the units that they lead to; or synapses alone, of an artificial layer or a readout."""
    m: int                          # inputs, where they are not a convolution
    n: int
    convolution: Layer | None
    units: bool                     # there is a population
    after: bool                     # the inputs are those of another cell
    times: float                    # steps for each of the network's input


@checked
def peers(net: Network) -> tuple[str, list[tuple[str, Formula]]]:
    """(sizes of the layers in words, [(name, Formula of a step of the network's input)]).

    That is what takes the place of populations and synapses in networks of the same layer sizes; see `table`.
    """
    cells = _cells(net)
    tokens = [str(layer.n_out) for layer in net.layers.values() if isinstance(layer, Embedding)]
    arrives = "x".join(map(str, net.input_shape or ("?",)))
    sizes = "-".join([arrives, *tokens, *(_shape_of(cell) for cell in cells)])
    if any(cell.convolution is not None and cell.units for cell in cells):
        return sizes, [("Conv2d at every step", _stack(cells, dense, conv2d)),
                       ("Conv3D", _stack(cells, dense, conv3d)),
                       ("ConvLSTM2D", _stack(cells, lstm, conv_lstm2d))]
    if not cells:
        return sizes, []
    found = [(name, _stack(cells, FORMULAS[name], conv2d)) for name in ("SimpleRNN", "GRU", "LSTM")]
    if not any(isinstance(layer, Reverse) for layer in net.layers.values()):
        found.append(("bidirectional LSTM", _stack(cells, lstm, conv2d, 2)))
    return sizes, found


def _shape_of(cell):
    if cell.convolution is None:
        return str(cell.n)
    return "x".join(map(str, (cell.n, *cell.convolution.geometry.out)))


def _stack(cells, flat, picture, directions=1):
    """The sum over all cells, with these formulas where there are units."""
    total = Formula(Count(), 0)
    for cell in cells:
        if cell.convolution is None:
            m = cell.m * (directions if cell.after else 1)
            one = (flat if cell.units else dense)(m, cell.n)
        else:
            g = cell.convolution.geometry
            one = (picture if cell.units else conv2d)(g.channels, cell.n, g.kernel, g.out)
        more = directions if cell.units and cell.convolution is None else 1
        total += Formula(one.count * (cell.times * more), one.parameters * more)
    return total


def _cells(net):
    """The cells of a network.  The last population, if it is the one that answers, is a readout: no units."""
    cells = {}
    without_units = {INPUT: {}}         # by layer: synapses that have no units yet
    hears = {INPUT: set()}              # by layer: populations that reach it
    for name, node in net.graph.nodes.items():
        synapses = {key: cell for s in node.sources for key, cell in without_units.get(s, {}).items()}
        heard = set().union(*(hears.get(s, {s}) for s in node.sources))
        layer, neurons = _inner(node.layer), neurons_of(node.layer)
        if _is_synapses(layer):
            cells |= synapses           # artificial layers before this one
            synapses = {name: _synapses_alone(layer, bool(heard or synapses), float(node.times))}
        elif neurons is not None:
            if synapses or neurons.recur:
                cells |= _with_units(name, neurons.n, synapses, float(node.times))
            synapses, heard = {}, {name}
        without_units[name], hears[name] = synapses, heard
    answer = net.graph.answer
    cells |= without_units[answer]
    last = next(reversed(cells), None)
    last_one_answers = not without_units[answer] and hears[answer] == {last}
    if last_one_answers and sum(cell.units for cell in cells.values()) > 1:
        cells[last] = cells[last]._replace(units=False)
    return list(cells.values())


def _inner(layer):
    return layer.layer if isinstance(layer, TimeDistributed) else layer


def _is_synapses(layer):
    return isinstance(layer, Dense) or hasattr(layer, "geometry")


def _replaced(layer):
    """Whether another network has something else in its place."""
    return _is_synapses(_inner(layer)) or neurons_of(layer) is not None


def _synapses_alone(layer, after, times):
    if isinstance(layer, Dense):
        return Cell(layer.n_in, layer.n_out, None, False, after, times)
    return Cell(0, len(layer.params["weight"]), layer, False, after, times)


def _with_units(name, n, synapses, times):
    """The cell of a population with all its dense synapses.

    Of convolutions that lead to it the first gets the units.
    """
    pictures = {key: cell for key, cell in synapses.items() if cell.convolution is not None}
    flat = [cell for key, cell in synapses.items() if key not in pictures]
    if flat or not pictures:
        m = sum(cell.m for cell in flat) or n
        after = any(cell.after for cell in flat)
        return pictures | {name: Cell(m, n, None, True, after, times)}
    first = next(iter(pictures))
    others = {key: cell for key, cell in pictures.items() if key != first}
    return others | {name: pictures[first]._replace(units=True)}
