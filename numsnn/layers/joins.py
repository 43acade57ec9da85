"""Layers that make a graph of a stack: `From`, `Add`, `Concatenate`, `Previous`; `Residual` and
`Bidirectional`, which are made of them.

Layers stand in a list, and each takes what the one before it hands out.  A layer of this file names its
sources instead: other layers by their names, or "input" for what the network is given.  Sources stand before
it in the list, but for those of `Previous`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from ..checked import checked
from ..devices.contract import Delays
from ..signals.spikes import Spikes
from .layer import Arriving, Context, Gradients, Layer, Result, Shape, positive_integer, size, values
from .steps import Reverse

INPUT = "input"


class _Join(Layer):
    """A layer with named sources; forward gets a list of inputs, backward gives a tuple of gradients."""

    @checked
    def __init__(self, *sources: str, name: str | None = None):
        super().__init__(name)
        if not sources or not all(isinstance(s, str) for s in sources):
            self.refuse(f"its sources are names of layers, such as {type(self).__name__}('lif0', 'lif1'); "
                        f"got {sources!r}")
        self.sources: tuple[str, ...] = sources

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        self.dtype = np.dtype(dtype)

    def config(self) -> dict[str, Any]:
        return {"sources": self.sources, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        return cls(*config.pop("sources"), **config)

    def describe(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.sources))})"

    def same(self, what: str, items: Sequence[Shape | None]) -> Shape:
        """The one value that all sources agree on."""
        known = [item for item in items if item is not None]
        if len(known) < len(items):
            source = self.sources[items.index(None)]
            self.refuse(f"the {what} of {source} is not known here; "
                        f"say Network(..., input_shape=...), or shape= of a Previous")
        if any(item != known[0] for item in known):
            each = ", ".join(f"{s} has {i}" for s, i in zip(self.sources, known, strict=True))
            self.refuse(f"its sources must have the same {what}: {each}")
        return known[0]


class From(_Join):
    """y_t = x_t of the source: a branch of the graph begins here.  From("conv0"); From("input")."""

    kind = "from"
    keeps_shape = True
    needs = ()

    @checked
    def __init__(self, source: str, *, name: str | None = None):
        super().__init__(source, name=name)

    def forward(self, x: list[Arriving], state: None, prepared: None, context: Context) -> Result:
        return Result(x[0], None)

    def backward(self, tape: None, dy: np.ndarray, dstate: None, dhidden: dict | None, prepared: None,
                 context: Context) -> Gradients:
        return Gradients((dy,), None, {})


class Add(_Join):
    """y_t = sum of what the sources hand out in step t: a skip connection.

    Add("conv1", "conv0").  All sources have the same shape; spikes count 1.  The sum runs in the order of the
    sources.
    """

    kind = "add"
    needs = ()

    def connect(self, *shapes: Shape | None) -> Shape:
        try:
            return self.same("shape", shapes)
        except ValueError as error:
            raise ValueError(f"{error}. A convolution with kernel 1 or a Dense brings them to one shape "
                             f"(Residual(..., shortcut=(ns.Conv2d(16, 32, 1, stride=2),)))") from None

    def forward(self, x: list[Arriving], state: None, prepared: None, context: Context) -> Result:
        total = values(x[0], self.dtype)
        for other in x[1:]:
            total = total + values(other, self.dtype)
        return Result(total, None)

    def backward(self, tape: None, dy: np.ndarray, dstate: None, dhidden: dict | None, prepared: None,
                 context: Context) -> Gradients:
        return Gradients((dy,) * len(self.sources), None, {})


class Concatenate(_Join):
    """y_t = what the sources hand out in step t, beside each other: features (N,), or the channels of
    pictures of one size.

    Concatenate("lif0", "lif1"): (T, B, N0) and (T, B, N1) give (T, B, N0 + N1).  Spikes stay Spikes where all
    sources spike.
    """

    kind = "concatenate"
    needs = ("parted", "beside")

    def connect(self, *shapes: Shape | None) -> Shape:
        picture = self.same("size of pictures", [None if s is None else s[1:] for s in shapes])
        known = [s for s in shapes if s is not None]        # all of them, or `same` had refused
        self.sizes = [size(s) for s in known]
        return (sum(s[0] for s in known), *picture)

    def forward(self, x: list[Arriving], state: None, prepared: None, context: Context) -> Result:
        all_spike = all(isinstance(a, Spikes) for a in x)
        return Result(context.loops.beside(x if all_spike else [values(a, self.dtype) for a in x]), None)

    def backward(self, tape: None, dy: np.ndarray, dstate: None, dhidden: dict | None, prepared: None,
                 context: Context) -> Gradients:
        return Gradients(context.loops.parted(dy, self.sizes), None, {})


class Last(NamedTuple):
    last: np.ndarray        # (B, N): what the source handed out in the last step


class Previous(_Join):
    """y_t = x_{t-1} of the source, 0 in the first step: feedback from any layer, one step late.

    Previous("alif1") may stand before its source: the layers between form a cycle, which the network runs in
    lockstep, one time step of all of them after the other (slower than whole sequences layer by layer; see
    Network).  The state is the last x.

    source: name of a layer.  shape: of what it hands out, (N,) or (channels, rows, columns), needed only
    where the source stands later in the list and is neither a Dense nor a population with a size.  like:
    instead of shape, (name, channels): that of another layer with so many channels.
    """

    kind = "previous"
    delayed = True
    needs = ("joined", "reordered", "delay_backward")

    @checked
    def __init__(self, source: str, *, shape: tuple[int, ...] | int | None = None,
                 like: tuple[str, int] | None = None, name: str | None = None):
        super().__init__(source, name=name)
        self.like = like
        self.shape: Shape | None = None
        if shape is not None:
            self.shape = tuple(positive_integer(n, "Previous: shape") for n in np.atleast_1d(shape))

    def connect(self, shape: Shape | None) -> Shape:
        shape = self.shape or shape
        if shape is None:
            self.refuse(f"the shape of {self.sources[0]} is not known here; give shape=")
        self.n = size(shape)
        return shape

    def initial_state(self, batch: int, rng: np.random.Generator | None = None) -> Last:
        return Last(np.zeros((batch, self.n), self.dtype))

    def forward(self, x: list[Arriving], state: Last, prepared: None, context: Context) -> Result:
        loops, last = context.loops, context.loops.put(state.last)
        all_steps = loops.joined((last.reshape(1, *last.shape), values(x[0], self.dtype)))
        steps = len(all_steps) - 1
        if context.lengths is None:
            after = all_steps[steps:].copy()
        else:
            after = loops.reordered(all_steps, context.lengths[None])
        return Result(all_steps[:steps], Last(after.reshape(last.shape)))

    def backward(self, tape: None, dy: np.ndarray, dstate: Last, dhidden: dict | None, prepared: None,
                 context: Context) -> Gradients:
        by_one = Delays.by_steps(np.ones(self.n), self.dtype)
        dx, dlast, _ = context.loops.delay_backward(by_one, None, dy, dstate.last, context.lengths)
        return Gradients((dx,), Last(dlast), {})

    def config(self) -> dict[str, Any]:
        return {**super().config(), "shape": self.shape, "like": self.like}


class Block:
    """Several layers that a network puts into its list one by one."""

    def layers_after(self, before: str, add: Adding, free: Callable[[str], str]) -> None:
        """Add the layers.

        before: name of the layer that stands before them.  add(layer) -> name.  free(kind) -> a name that
        nobody has.
        """
        raise TypeError(f"{type(self).__name__} does not define layers_after")


Adding: TypeAlias = Callable[[Layer | Block], str]      # takes a layer into the list; its name


class Residual(Block):
    """y = f(x) + g(x): layers f with a connection around them, g being the identity or the layers of
    `shortcut`.

    Residual(ns.Conv2d(16, 16, 3, padding=1), ns.BatchNorm(), ns.LIF((16, 8, 8))).  In the network's list it
    becomes these layers and an `Add` (with a shortcut: a `From` and its layers before that), and so it is
    saved.  Source: He et al. 2016.
    """

    @checked
    def __init__(self, *layers: Layer | Block, shortcut: tuple[Layer | Block, ...] | Layer = (),
                 name: str | None = None):
        self.inside = layers
        self.shortcut = (shortcut,) if isinstance(shortcut, Layer) else tuple(shortcut)
        self.name = name
        if not layers or not all(isinstance(layer, (Layer, Block)) for layer in (*layers, *self.shortcut)):
            raise ValueError(f"Residual is made of layers, Residual(ns.Dense(8, 8), ns.LIF(8)); "
                             f"got {layers!r}, shortcut={shortcut!r}")

    def layers_after(self, before: str, add: Adding, free: Callable[[str], str]) -> None:
        for layer in self.inside:
            after = add(layer)
        around = before
        if self.shortcut:
            add(From(before))
            for layer in self.shortcut:
                around = add(layer)
        add(Add(after, around, name=self.name))


class Bidirectional(Block):
    """The same kind of layers forwards and backwards in time, side by side: y = merge(f(x),
    reversed(g(reversed(x)))).

    Bidirectional(lambda: (ns.Dense(28, 64), ns.ALIF(64, recurrent=True))): the function is called twice, so
    that each direction has layers of its own.  In the network's list they become From and Reverse layers and
    a Concatenate or Add, and so they are saved.  Padded samples are reversed within their length.  Source:
    Schuster & Paliwal 1997; Keras' layer of this name.

    make: function that gives a new layer, or several.  merge: "concat" (features of both) or "sum".
    """

    @checked
    def __init__(self, make: Callable[[], Layer | Block | Sequence[Layer | Block]], merge: str = "concat", *,
                 name: str | None = None):
        if not callable(make):
            raise TypeError(f"Bidirectional takes a function that makes the layers of one direction, "
                            f"Bidirectional(lambda: (ns.Dense(4, 8), ns.ALIF(8))); got {make!r}")
        if merge not in ("concat", "sum"):
            raise ValueError(f"Bidirectional: merge must be 'concat' or 'sum'; got {merge!r}")
        self.make = make
        self.merge = merge
        self.name = name

    def layers_after(self, before: str, add: Adding, free: Callable[[str], str]) -> None:
        ends = [self._direction(before, add, backwards) for backwards in (False, True)]
        merged = Concatenate if self.merge == "concat" else Add
        add(merged(*ends, name=self.name))

    def _direction(self, before, add, backwards):
        """Add the layers of one direction; the name of the last one."""
        made = self.make()
        end = add(From(before))
        if backwards:
            end = add(Reverse())
        for layer in made if isinstance(made, (tuple, list)) else (made,):
            end = add(layer)
        return add(Reverse()) if backwards else end
