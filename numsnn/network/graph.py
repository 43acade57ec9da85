"""How the layers of a network are connected: who takes what from whom, in which order they run, and what runs together.

A graph is a list of layers, each with its sources.  Within a time step it has no cycle; a cycle closes through a `Previous`, which hands
out what its source did one step before.  It is cut into its strongly connected components: a single layer runs whole sequences, the
layers of a cycle run in lockstep.  Components are gathered into stages: within a stage a batch goes through in chunks of samples, each
chunk by itself; a layer that must see the whole batch is a stage of its own.
"""

from fractions import Fraction
from graphlib import TopologicalSorter
from typing import NamedTuple

from ..layers.joins import INPUT
from ..layers.layer import Layer


class Node(NamedTuple):
    name: str
    layer: Layer
    sources: tuple          # names of layers, or INPUT
    times: Fraction | None  # steps of this layer for each step of the network's input; None: not known yet

    def steps(self, n):
        """Steps of this layer for n of the input; n may be an array."""
        return n * self.times.numerator // self.times.denominator


class Component(NamedTuple):
    names: tuple            # in an order in which they can run within a step
    cyclic: bool            # runs in lockstep


class Stage(NamedTuple):
    components: tuple
    whole: bool             # the whole batch at once
    inputs: tuple           # names of what it takes from before
    outputs: tuple          # names of what is needed after it
    uses: dict              # name -> how many layers of this stage take it
    borrowed: frozenset     # inputs that one layer takes, which leaves them as they are

    @property
    def alone(self) -> bool:
        """Whether it is one layer, which borrows."""
        return len(self.components) == 1 and bool(self.borrowed)


class Graph:
    """Nodes by name, in the order of the list; components, in an order in which they can run; the name of the layer that answers."""

    def __init__(self, input_shape):
        self.nodes: dict[str, Node] = {}
        self.input_shape = input_shape
        self.components: tuple = ()
        self.taken: frozenset = frozenset()     # names of what some layer takes, once the graph is closed
        self._stages: dict = {}

    def add(self, layer: Layer) -> None:
        """Take a layer, connect it to its sources, and keep the shape of what it hands out."""
        sources = layer.sources or (self.answer or INPUT,)
        for source in sources:
            if source not in self.nodes and source != INPUT and not layer.delayed:
                layer.refuse(f"takes what {source!r} hands out, but no such layer stands before it; there are {', '.join((INPUT, *self.nodes))}. "
                             f"What a later layer hands out arrives one step later, through Previous({source!r}): a loop within a step has no order")
            if source in self.nodes and not self.nodes[source].layer.answers_each_step:
                layer.refuse(f"needs a sequence, but {source} answers once per sequence; it must be the last layer")
        self.nodes[layer.name] = Node(layer.name, layer, tuple(sources), self._times(layer, sources))

    def _times(self, layer, sources):
        times = {s: Fraction(1) if s == INPUT else self.nodes[s].times for s in sources if s == INPUT or s in self.nodes}
        known = {n for n in times.values() if n is not None}
        if len(known) > 1:
            layer.refuse(f"its sources do not keep the same steps: {', '.join(f'{s} has {n} for each of the input' for s, n in times.items())}")
        if not known and layer.times != 1:
            layer.refuse("stands within a cycle; put it before the cycle")
        return layer.times * known.pop() if known else None

    def shape(self, name):
        """The shape of what a layer hands out, None where it is not known yet."""
        return self.input_shape if name == INPUT else getattr(self.nodes[name].layer, "shape_out", None) if name in self.nodes else None

    @property
    def answer(self) -> str | None:
        """The name of the last layer."""
        return next(reversed(self.nodes), None)

    def close(self) -> None:
        """Find the components; refuse what is not a graph."""
        self.taken = taken = frozenset(s for node in self.nodes.values() for s in node.sources)
        for node in self.nodes.values():
            for source in node.sources:
                if source not in self.nodes and source != INPUT:
                    node.layer.refuse(f"there is no layer {source!r}; there are {', '.join((INPUT, *self.nodes))}")
                if node.layer.delayed and source != INPUT:
                    self._check_delay(node, self.nodes[source])
            if node.name not in taken and node.name != self.answer:
                node.layer.refuse("nothing takes what it hands out; join it to the rest by Add(...) or Concatenate(...), or leave it out")
        self.components = self._components()
        for component in self.components:       # what could not be known while its Previous waited for a later layer
            times = {self.nodes[s].times if s in self.nodes else Fraction(1) for name in component.names for s in (name, *self.nodes[name].sources)} - {None}
            for name in component.names:
                if self.nodes[name].times is None:
                    self.nodes[name] = self.nodes[name]._replace(times=min(times) if len(times) == 1 else self._unclear(name))

    def _unclear(self, name):
        self.nodes[name].layer.refuse("its sources do not keep the same steps; a Repeat cannot stand within a cycle")

    @staticmethod
    def _check_delay(node, source):
        if source.layer.delayed:
            node.layer.refuse(f"its source {source.name} is a Previous itself; put another layer between them")
        if source.layer.shape_out != node.layer.shape_out:
            node.layer.refuse(f"hands out {node.layer.shape_out}, but its source {source.name} has {source.layer.shape_out}; give shape={source.layer.shape_out}")

    def _components(self):
        """Strongly connected components, in topological order."""
        names, member = list(self.nodes), {name: i for i, name in enumerate(self.nodes)}
        if any(node.layer.delayed for node in self.nodes.values()):
            member = self._strong(names)
        groups = {}
        for name in names:
            groups.setdefault(member[name], []).append(name)
        before = {g: {member[s] for name in group for s in self.nodes[name].sources if s != INPUT} - {g} for g, group in groups.items()}
        return tuple(Component(tuple(groups[g]), len(groups[g]) > 1) for g in TopologicalSorter(before).static_order())

    def _strong(self, names):
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components
        edges = [(names.index(s), i) for i, name in enumerate(names) for s in self.nodes[name].sources if s != INPUT]
        rows, columns = zip(*edges, strict=True)
        _, label = connected_components(coo_array(([1] * len(edges), (rows, columns)), shape=(len(names),) * 2), connection="strong")
        return dict(zip(names, label.tolist(), strict=True))

    def stages(self, training: bool) -> tuple:
        """The stages of a pass; only in training a layer can ask for the whole batch."""
        if training not in self._stages:
            runs = []
            for component in self.components:
                whole = training and any(self.nodes[name].layer.whole_batch for name in component.names)
                if runs and not whole and not runs[-1][1]:
                    runs[-1][0].append(component)
                else:
                    runs.append(([component], whole))
            self._stages[training] = tuple(self._stage(runs, i) for i in range(len(runs)))
        return self._stages[training]

    def _stage(self, runs, i):
        inside = [name for component in runs[i][0] for name in component.names]
        later = {s for components, _ in runs[i + 1:] for c in components for name in c.names for s in self.nodes[name].sources} | {self.answer}
        uses = {}
        for name in inside:
            for source in self.nodes[name].sources:
                uses[source] = uses.get(source, 0) + 1
        borrowers = [self.nodes[c.names[0]] for c in runs[i][0] if not c.cyclic and self.nodes[c.names[0]].layer.borrows]
        borrowed = frozenset(s for node in borrowers for s in node.sources if s not in inside and uses[s] == 1)
        return Stage(tuple(runs[i][0]), runs[i][1], tuple(s for s in uses if s not in inside), tuple(n for n in inside if n in later), uses, borrowed)
