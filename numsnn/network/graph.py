"""How the layers of a network are connected: who takes what from whom, in which order, and what runs
together.

A graph is a list of layers, each with its sources.  Within a time step it has no cycle; a cycle closes
through a `Previous`, which hands out what its source did one step before.  It is cut into its strongly
connected components: a single layer runs whole sequences, the layers of a cycle run in lockstep.  Components
are gathered into stages: within a stage a batch goes through in chunks of samples, each chunk by itself; a
layer that must see the whole batch is a stage of its own.
"""

from __future__ import annotations

from fractions import Fraction
from graphlib import TopologicalSorter
from typing import NamedTuple

from ..layers.joins import INPUT
from ..layers.layer import Layer


class Node(NamedTuple):
    """A layer in its place."""
    name: str
    layer: Layer
    sources: tuple          # names of layers, or INPUT
    times: Fraction | None  # steps of this layer for each step of the network's input; None: not known yet

    def steps(self, n):
        """Steps of this layer for n of the input; n may be an array."""
        return n * self.times.numerator // self.times.denominator


class Component(NamedTuple):
    """Layers that need each other, or one."""
    names: tuple            # in an order in which they can run within a step
    cyclic: bool            # runs in lockstep


class Stage(NamedTuple):
    """What goes through together."""
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
    """The layers as nodes by name, in the order of the list.

    components: in an order in which they can run.  answer: the name of the layer that answers.
    """

    def __init__(self, input_shape: tuple | None):
        self.nodes: dict[str, Node] = {}
        self.input_shape = input_shape
        self.components: tuple = ()
        self.taken: frozenset = frozenset()     # names of what some layer takes, once the graph is closed
        self._stages: dict = {}

    def add(self, layer: Layer) -> None:
        """Take a layer, connect it to its sources, and keep the shape of what it hands out."""
        assert layer.name is not None       # the assembly has named it
        sources = layer.sources or (self.answer or INPUT,)
        for source in sources:
            if source not in self.nodes and source != INPUT and not layer.delayed:
                layer.refuse(f"takes what {source!r} hands out, but no such layer stands before it; "
                             f"there are {self._names()}. What a later layer hands out arrives one step "
                             f"later, through Previous({source!r}): a loop within a step has no order")
            if source in self.nodes and not self.nodes[source].layer.answers_each_step:
                layer.refuse(f"needs a sequence, but {source} answers once per sequence; "
                             f"it must be the last layer")
        self.nodes[layer.name] = Node(layer.name, layer, tuple(sources), self._times(layer, sources))

    def _names(self) -> str:
        return ", ".join((INPUT, *self.nodes))

    def _times(self, layer, sources) -> Fraction | None:
        """Steps of a layer for each step of the input, where its sources tell."""
        times = {s: self._times_of(s) for s in sources if s == INPUT or s in self.nodes}
        known = {n for n in times.values() if n is not None}
        if len(known) > 1:
            each = ", ".join(f"{s} has {n} for each of the input" for s, n in times.items())
            layer.refuse(f"its sources do not keep the same steps: {each}")
        if not known and layer.times != 1:
            layer.refuse("stands within a cycle; put it before the cycle")
        return layer.times * known.pop() if known else None

    def _times_of(self, source):
        return self.nodes[source].times if source in self.nodes else Fraction(1)

    def shape(self, name: str) -> tuple | None:
        """The shape of what a layer hands out, None where it is not known yet."""
        if name == INPUT:
            return self.input_shape
        if name not in self.nodes:
            return None
        return getattr(self.nodes[name].layer, "shape_out", None)       # a Previous of itself has none yet

    @property
    def answer(self) -> str | None:
        """The name of the last layer."""
        return next(reversed(self.nodes), None)

    def close(self) -> None:
        """Find the components; refuse what is not a graph."""
        self.taken = frozenset(s for node in self.nodes.values() for s in node.sources)
        for node in self.nodes.values():
            self._check(node)
        self.components = self._components()
        for component in self.components:
            self._settle(component)

    def _check(self, node):
        for source in node.sources:
            if source not in self.nodes and source != INPUT:
                node.layer.refuse(f"there is no layer {source!r}; there are {self._names()}")
            if node.layer.delayed and source != INPUT:
                self._check_delay(node, self.nodes[source])
        if node.name not in self.taken and node.name != self.answer:
            node.layer.refuse("nothing takes what it hands out; join it to the rest by Add(...) or "
                              "Concatenate(...), or leave it out")

    @staticmethod
    def _check_delay(node, source):
        own, theirs = node.layer.shape_out, source.layer.shape_out
        if source.layer.delayed:
            node.layer.refuse(f"its source {source.name} is a Previous itself; "
                              f"put another layer between them")
        if theirs != own:
            node.layer.refuse(f"hands out {own}, but its source {source.name} has {theirs}; "
                              f"give shape={theirs}")

    def _settle(self, component):
        """Find the steps that could not be known while a Previous waited for a later layer."""
        around = {s for name in component.names for s in (name, *self.nodes[name].sources)}
        times = {self._times_of(s) for s in around} - {None}
        for name in component.names:
            node = self.nodes[name]
            if node.times is None:
                if len(times) != 1:
                    node.layer.refuse("its sources do not keep the same steps; "
                                      "a Repeat cannot stand within a cycle")
                self.nodes[name] = node._replace(times=min(times))

    def _components(self) -> tuple:
        """Strongly connected components, in topological order."""
        names = list(self.nodes)
        member = {name: i for i, name in enumerate(names)}
        if any(node.layer.delayed for node in self.nodes.values()):
            member = self._strong(names)
        groups: dict[int, list] = {}
        for name in names:
            groups.setdefault(member[name], []).append(name)
        before = {number: self._groups_before(number, group, member) for number, group in groups.items()}
        order = TopologicalSorter(before).static_order()
        return tuple(Component(tuple(groups[number]), len(groups[number]) > 1) for number in order)

    def _groups_before(self, number, group, member):
        sources = {s for name in group for s in self.nodes[name].sources} - {INPUT}
        return {member[s] for s in sources} - {number}

    def _strong(self, names) -> dict:
        """Layer -> number of its strongly connected component, whose layers all feed each other."""
        feed = {name: self._feeding(name) for name in names}
        return {name: min(i for i, other in enumerate(names)
                          if other == name or other in feed[name] and name in feed[other]) for name in names}

    def _feeding(self, name) -> set:
        """The layers from which something arrives at a layer, through others too."""
        found: set = set()
        waiting = [name]
        while waiting:
            sources = set(self.nodes[waiting.pop()].sources) - {INPUT} - found
            found |= sources
            waiting += sources
        return found

    # ---- stages

    def stages(self, training: bool) -> tuple:
        """The stages of a pass; only in training a layer can ask for the whole batch."""
        if training not in self._stages:
            runs: list[tuple[list, bool]] = []      # (components, whether they need the whole batch)
            for component in self.components:
                whole = training and any(self.nodes[name].layer.whole_batch for name in component.names)
                if runs and not whole and not runs[-1][1]:
                    runs[-1][0].append(component)
                else:
                    runs.append(([component], whole))
            self._stages[training] = tuple(self._stage(runs, i) for i in range(len(runs)))
        return self._stages[training]

    def _stage(self, runs, i) -> Stage:
        components, whole = runs[i]
        inside = self._inside(components)
        needed_later = {self.answer}
        for others, _ in runs[i + 1:]:
            needed_later.update(s for name in self._inside(others) for s in self.nodes[name].sources)
        uses: dict[str, int] = {}
        for name in inside:
            for source in self.nodes[name].sources:
                uses[source] = uses.get(source, 0) + 1
        inputs = tuple(s for s in uses if s not in inside)
        outputs = tuple(name for name in inside if name in needed_later)
        left_alone = {s for component in components for s in self._borrowed(component)}
        borrowed = frozenset(s for s in inputs if s in left_alone and uses[s] == 1)
        return Stage(tuple(components), whole, inputs, outputs, uses, borrowed)

    @staticmethod
    def _inside(components):
        return [name for component in components for name in component.names]

    def _borrowed(self, component):
        """What a component takes and leaves as it is."""
        node = self.nodes[component.names[0]]
        return node.sources if node.layer.borrows and not component.cyclic else ()
