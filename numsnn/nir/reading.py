"""`read`: the network of a NIR file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import inf
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from ..checked import checked
from ..layers import Add, From, Layer, Previous
from ..layers.initialise import LARGEST
from ..layers.joins import INPUT
from ..layers.layer import Shape, size
from ..network.network import Network
from .flatten import Flat, Port, flat, shape_of
from .hdf5 import load
from .nodes import KINDS, Graph, NirError, Node
from .own import rebuilt, step_of
from .params import Params
from .recurrence import leading_to, order, recurrences
from .translate import MOST, How, made, wanted

INTEGRATORS = ("euler", "exponential")
MOST_NODES = 4096               # what takes hours to put together is not read
RESETS = ("hard", "soft", "none")
WHEN = ("same", "next")
NO_DT = ("NIR knows no time step, and this file does not say with which one its network was made; give dt= "
         "in seconds (1e-4 is that of snnTorch and the default of SpikingJelly)")
CHANGED = "this file of numsnn, which others have changed, means what it would if it were theirs"


@checked
def read(path: Path | str, *, dt: float | None = None, integrator: str | None = None,
         reset: str | None = None, reset_when: str | None = None, device: str = "cpu") -> Network:
    """The network of a NIR file, ready to run, to be trained on, measured and exported.

    A file that `ns.nir.write` wrote gives the network that was written, bit for bit, and needs no further
    arguments.  Every other one describes continuous time; it becomes steps of dt seconds, and time constants
    stay in seconds.  With a = dt / tau for integrator="euler", or 1 - exp(-dt / tau) for "exponential", of
    tau_mem (a_m) and tau_syn (a_s), step t computes

        LI, LIF             u_t = v_{t-1} + a_m (v_leak - v_{t-1} + r x_t)
        I, IF               u_t = v_{t-1} + dt r x_t
        CubaLI, CubaLIF     i_t = i_{t-1} + a_s (w_in x_t - i_{t-1})
                            u_t = v_{t-1} + a_m (v_leak - v_{t-1} + r i_t)
        spike               s_t = u_t > v_threshold, strictly, in the same step
        reset="hard"        v_t = v_reset where s_t is 1, else u_t
        reset="soft"        v_t = u_t - v_threshold s_t
        reset="none"        v_t = u_t

    from v = i = 0.  A spike is a 1 in the step in which it occurs: what it adds shrinks with dt / tau, unless
    r or w_in grow with tau / dt, as in files of snnTorch.  Recurrence, and every other edge that leads
    backwards, arrives one step later.  Delays become whole numbers of steps.  Sinabs counts in steps: dt=1.

    dt: step in seconds.  integrator: "euler" (if not given; Norse, snnTorch, SpikingJelly and Spyx step so)
    or "exponential" (Nengo, Rockpool, Sinabs), for all nodes.  reset: "hard" (if not given), "soft" or
    "none".  reset_when: "same" (if not given) or, for LIF, the "next" step (snnTorch's default, with "soft").
    With any of these four a file of ours is read as if it were another's.  device: as for Network.

    A UserWarning says what had to be assumed where a file does not keep to NIR but can mean one thing only.
    NirError, naming file and node, where it means nothing that a network can compute; FileNotFoundError where
    there is no such file.
    """
    _check(dt, integrator, reset, reset_when)
    graph = load(path)
    notes: list[str] = []
    try:
        net = _network(graph, notes, dt, integrator, reset, reset_when, device)
    except ValueError as error:
        raise NirError(f"{path}: {error}") from error
    if notes:
        warnings.warn(f"{path}: assumed that {'; '.join(notes)}", stacklevel=3)
    return net


def _check(dt, integrator, reset, reset_when):
    if dt is not None and (isinstance(dt, bool) or not isinstance(dt, Real) or not 0 < dt < inf):
        raise ValueError(f"dt must be a positive number of seconds; got {dt!r}")
    for name, value, known in (("integrator", integrator, INTEGRATORS), ("reset", reset, RESETS),
                               ("reset_when", reset_when, WHEN)):
        if value is not None and value not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}; got {value!r}")


def _network(graph, notes, dt, integrator, reset, reset_when, device):
    """The network of a graph: the one that we wrote, or what the arguments make of it."""
    if dt is integrator is reset is reset_when is None:
        ours = rebuilt(graph, device)
        if ours is not None:
            return ours
        dt = _stated(graph)
        notes.append(CHANGED)
    return network_of(graph, dt or _stated(graph), integrator or INTEGRATORS[0], reset or RESETS[0],
                      reset_when or WHEN[0], device, notes)


def _stated(graph):
    """The step that a file of ours says."""
    dt = step_of(graph)
    if dt is None:
        raise NirError(NO_DT)
    _check(dt, None, None, None)
    return dt


def network_of(graph: Graph, dt: float, integrator: str, reset: str, reset_when: str, device: str,
               notes: list[str]) -> Network:
    """The network of a graph; what had to be assumed is added to `notes`."""
    opened = flat(graph, notes)
    ports = opened.ports
    unknown = [f"{name} ({node.type})" for name, node in opened.nodes.items() if node.type not in KINDS]
    if unknown:
        raise NirError(f"nodes of types that are not known: {', '.join(unknown[:20])}; "
                       f"known are {', '.join(KINDS)}")
    if len(opened.nodes) > MOST_NODES:
        raise NirError(f"it has {len(opened.nodes):,} nodes; networks of up to {MOST_NODES:,} are read")
    opened, start, end = _with_ends(opened, notes)
    sizes = [np.size(a) for node in opened.nodes.values() for a in node.params.values()]
    how = How(float(dt), integrator, reset, reset_when, max(sizes), notes)
    before = LARGEST.set(4 * how.largest + MOST)
    try:
        with np.errstate(over="ignore"):        # what float32 cannot hold is refused
            building = _Building(opened, start, end, how)
            building.compare(ports)
            net = Network(*building.layers, dt=how.dt, device=device, input_shape=building.shapes[start])
            net.restore(building.arrays)
        return net
    finally:
        LARGEST.reset(before)


# ---- the two ends


def _with_ends(graph: Flat, notes: list[str]) -> tuple[Flat, str, str]:
    """(the graph without nodes that lead nowhere, its one Input, its one Output)."""
    graph, end = _one_port(graph, "Output", 0, notes)
    kept = leading_to(graph, end)
    inputs = graph.of_type("Input")
    if len(kept) == 1 or inputs and not kept.intersection(inputs):
        raise NirError(f"nothing leads to {end}" + (f" from {', '.join(inputs[:20])}" if inputs else ""))
    idle = [name for name, node in graph.nodes.items() if name not in kept and node.type != "Input"]
    notes += [f"{name}, which leads nowhere, is left out" for name in idle[:20]]
    graph = Flat({name: node for name, node in graph.nodes.items() if name in kept},
                 [edge for edge in graph.edges if edge[1] in kept])
    graph, start = _one_port(graph, "Input", 1, notes)
    wrong = next(((a, b) for a, b in graph.edges if a == end or b == start), None)
    if wrong:
        raise NirError(f"the edge {wrong[0]} -> {wrong[1]} leads out of the Output or into the Input")
    return graph, start, end


def _one_port(graph, kind, side, notes):
    """(the graph, its only port of a kind); where there is none, it gets one at the only open end."""
    ports = graph.of_type(kind)
    if not ports:
        linked = {edge[side] for edge in graph.edges}
        open_ends = [name for name in graph.nodes if name not in linked]
        if len(open_ends) != 1:
            there = ", ".join(open_ends[:20]) or "none"
            raise NirError(f"the graph has no {kind}, and not one open end in its place: {there}")
        name = _free(kind.lower(), graph.nodes)
        notes.append(f"the {kind}, which is missing, is at {open_ends[0]}")
        edge = (name, open_ends[0])
        graph = Flat({**graph.nodes, name: Node(kind)}, [*graph.edges, edge if side else edge[::-1]])
        ports = [name]
    if len(ports) != 1:
        raise NirError(f"the graph has {len(ports)} nodes of type {kind}, {', '.join(ports[:20])}; a network "
                       f"of numsnn has one")
    return graph, ports[0]


def _free(name, taken):
    """The name, or one like it that nobody has."""
    candidates = (name if i == 0 else f"{name}_{i}" for i in range(len(taken) + 1))
    return next(candidate for candidate in candidates if candidate not in taken)


# ---- layers


class _Building:
    """Makes the layers of a flat graph one by one: `layers`, the values of their `arrays`.

    shapes: of what each node hands out.
    """

    def __init__(self, graph: Flat, start: str, end: str, how: How):
        self.how = how
        self.graph, loops = recurrences(graph)
        of_loops = {name: [Params(m, graph.nodes[m]) for m in found if m != name]
                    for name, found in loops.items()}
        self.params = {name: Params(name, node, of_loops.get(name, ()), name in loops.get(name, ()))
                       for name, node in self.graph.nodes.items() if name not in (start, end)}
        self.names, self.back = order(self.graph, start)
        self._check_reached(start)
        self.sources = self._sorted_sources()
        self.layers: list[Layer] = []
        self.arrays: dict[str, np.ndarray] = {}
        self.shapes: dict[str, Shape | None] = {start: self._input_shape(start)}
        self.taken = {INPUT}                            # names of layers
        self.place = {start: INPUT}                     # node -> name of its layer
        for name in self.names:
            if name not in (start, end):
                self.place[name] = self._taken(name.replace(".", "_"))
        for name in self.names:
            if name not in (start, end):
                self._take(name)
        self._finish(end)

    def _check_reached(self, start):
        left = [name for name in self.graph.nodes if name not in self.names]
        if left:
            raise NirError(f"nothing arrives at {left[0]}: no edges lead to it from {start}")
        for p in self.params.values():
            for one in (p, *p.loops):
                if one.unknown:
                    self.how.notes.append(f"what {one.name} says beyond its type, "
                                          f"{', '.join(one.unknown[:20])}, is left out")

    def _sorted_sources(self) -> dict[str, list[str]]:
        """node -> what leads to it, in the order of the nodes."""
        number = {name: i for i, name in enumerate(self.names)}
        sources: dict[str, list[str]] = {name: [] for name in self.names}
        for a, b in sorted(self.graph.edges, key=lambda edge: number[edge[0]]):
            sources[b].append(a)
        return sources

    def _input_shape(self, start) -> Shape | None:
        """What the input says of its shape, and what must arrive where that is another."""
        said = shape_of(self.graph.nodes[start]) or None
        wants = {self._wanted(b) for a, b in self.graph.edges if a == start} - {None}
        if len(wants) != 1:
            return said
        want = wants.pop()
        if said is not None and size(said) == size(want):
            return said if len(said) == len(want) else want
        if said is not None:
            self.how.notes.append(f"{start} means the shape {want}, which must arrive; it says {said}")
        return want

    def _taken(self, name):
        name = _free(name, self.taken)
        self.taken.add(name)
        return name

    def _take(self, name):
        """The layer of a node, with what must stand before it."""
        shape = self._join(name)
        layer, arrays = made(self.params[name], shape, self.how)
        layer.name = self.place[name]
        self.shapes[name] = layer.connect(shape)
        self.layers.append(layer)
        self.arrays |= {f"{layer.name}.{key}": a for key, a in arrays.items()}

    def _join(self, name) -> Shape | None:
        """Lead what a node takes to the end of the list; its shape."""
        forward = [a for a in self.sources[name] if (a, name) not in self.back]
        shape = self.shapes[forward[0]] if forward else None
        feeds = [self.place[a] for a in forward]
        for a in self.sources[name]:
            if (a, name) in self.back:
                feeds.append(self._before(a, shape, name))
        if len(feeds) > 1:
            self._add(Add(*feeds), f"{self.place.get(name, name)}_sum", [self.shapes[a] for a in forward])
        elif feeds[0] != (self.layers[-1].name if self.layers else INPUT):
            self._add(From(feeds[0]), f"{self.place.get(name, name)}_from", [shape])
        return shape

    def _before(self, source, shape, name):
        """The name of a layer that hands out what a later one did one step before."""
        previous = Previous(self.place[source], shape=shape or self._wanted(name))
        return self._add(previous, f"{self.place[source]}_before", [])

    def _wanted(self, name):
        return wanted(self.params[name]) if name in self.params else None

    def _add(self, layer: Any, name: str, shapes: Sequence[Shape | None]) -> str:
        layer.name = self._taken(name)
        if len(shapes) > 1:
            layer.connect(*shapes, *[shapes[0]] * (len(layer.sources) - len(shapes)))
        self.layers.append(layer)
        return layer.name

    def _finish(self, end):
        """The layer that answers stands last."""
        self.shapes[end] = self._join(end)
        if not self.layers:
            self._add(From(INPUT), "output", [])
        said = shape_of(self.graph.nodes[end])
        if said and self.shapes[end] is not None and said != self.shapes[end]:
            self.how.notes.append(f"{end} means the shape {self.shapes[end]}, which arrives; it says {said}")

    def compare(self, ports: Sequence[Port]) -> None:
        """Note inner ports that say another shape than what arrives at them."""
        for port in ports:
            shapes = {self.shapes[a] for a in port.sources if a in self.shapes} - {None}
            wrong = [shape for shape in shapes if port.shape and size(shape) != size(port.shape)]
            if wrong:
                self.how.notes.append(f"{port.name} means the shape {wrong[0]}, which arrives; it says "
                                      f"{port.shape}")
