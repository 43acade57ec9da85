"""The contract of a layer.

A layer owns named arrays (`params` are learned, `fixed` are not) and plain functions of them; it holds no
state between calls and no compiled code.  The network splits a batch into chunks of samples and calls a layer
with one chunk at a time, from several threads; nothing of a layer changes in such a call.

    build(rng, dtype, dt)
        draw the parameters; called once by the network
    connect(shape) -> shape
        check the shape of what arrives, (N,), (C, L) or (C, H, W), None: unknown; say what leaves
    prepare(context) -> prepared
        what depends on parameters only; once per call of the network
    initial_state(batch, rng) -> state
        NamedTuple of arrays with the batch first, or None; rng None: nothing random
    forward(x, state, prepared, context) -> Result
        x: array (T, B, N) that the layer may overwrite, or Spikes.  What it hands out it must not keep,
        Spikes excepted.  Pictures come and go as N = C * H * W features, in this order.
    backward(tape, dy, dstate, dhidden, prepared, context) -> Gradients
    config() -> dict                         the arguments that make this layer again; JSON

A layer with named `sources` (layers/joins.py) gets a shape from each of them in connect, a list of inputs in
forward, and gives a tuple of gradients as dx.  A layer that needs all samples of a batch at once in training
says `whole_batch`: it is then called with the whole batch, and its forward pass may change its `fixed` arrays
(running statistics).  Over MPI it gets the samples of its rank, where it says `over_ranks`: what it sums over
the batch, gradients of its parameters too, it then asks context.ranks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from inspect import isfunction
from math import isfinite, nan
from numbers import Real
from typing import Any, NamedTuple, NoReturn, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..checked import checked
from ..neurons.bounds import Bound
from ..ranks import ALONE, Ranks
from ..signals.integers import is_whole
from ..signals.spikes import Spikes
from .arrays import Arrays, replaced
from .initialise import plain

Shape: TypeAlias = tuple[int, ...]              # of one step of one sample: (N,), (C, L) or (C, H, W)
Arriving: TypeAlias = np.ndarray | Spikes       # (T, B, N); arrays of a device behave as NumPy's


class Context(NamedTuple):
    """How a chunk is to be run."""
    loops: Any                      # the functions of a device, see devices/contract.py
    lengths: np.ndarray | None      # (B,) number of valid steps of each sample of the chunk
    tape: bool = False              # keep what backward needs
    record: tuple[str, ...] = ()    # names of fields to hand out
    want_dx: bool = True            # backward: the gradient of the input too
    # spikes are handed out as an array: what the network answers, which no other layer takes
    dense: bool = False
    # samples of a larger array, where a layer that borrows may put what it hands out; backward: dx
    into: np.ndarray | None = None
    ranks: Ranks = ALONE            # who else works on the batch: of a layer that needs the whole of it


class Result(NamedTuple):
    y: Arriving
    state: Any
    tape: Any = None
    seen: dict | None = None        # field -> array, what was recorded


class Gradients(NamedTuple):
    dx: Any                         # array or None; for each source one, where a layer names its sources
    dstate: Any
    params: dict                    # name -> array


class Layer:
    """Base of all layers; see the module for the contract."""

    kind = "layer"                  # first part of the default name
    answers_each_step = True        # whether y has a time axis
    uses_blas = False               # whether its forward pass does
    whole_batch = False             # whether, in training, it must see all samples of a batch together
    over_ranks = False              # whether it can where ranks have some samples each
    reads_tokens = False            # whether, as first layer, it takes tokens (T, B), see `events`
    # names of the layers it takes its input from; None: the one before it in the list
    sources: tuple[str, ...] | None = None
    keeps_shape = False             # whether it takes any shape and hands out the same
    delayed = False                 # whether what it hands out is what its source did one step before
    times: int | Fraction = 1       # steps it hands out for each step it gets
    # whether it leaves what it gets as it is, so that it may be given some samples of a larger array
    borrows = False
    # names of the functions of a device that suffice; None: it must have NumPy arrays
    needs: tuple[str, ...] | None = None
    # parameters that stay NumPy arrays on every device: few, from which `prepare` computes
    settings_of_host: tuple[str, ...] = ()
    causal = True                   # whether what it hands out depends on the past only

    # of what it hands out, None where it is not known; a layer has them once it is part of a network
    shape_out: Shape | None
    size_out: int | None

    @checked
    def __init__(self, name: str | None = None):
        fits = isinstance(name, str) and name and "." not in name and "/" not in name
        if name is not None and not fits:
            raise ValueError(f"a layer's name is a non-empty string without '.' and '/'; got {name!r}")
        self.name = name
        self._params, self._fixed = Arrays(), Arrays()

    @property
    def params(self) -> Arrays:
        """The learned arrays by name; in a network assigning copies into them (layers/arrays.py)."""
        return self._params

    @params.setter
    def params(self, arrays: Mapping[str, Any]) -> None:
        self._params = replaced(self._params, arrays)

    @property
    def fixed(self) -> Arrays:
        """The arrays that are not learned, as `params`."""
        return self._fixed

    @fixed.setter
    def fixed(self, arrays: Mapping[str, Any]) -> None:
        self._fixed = replaced(self._fixed, arrays)

    def close(self, name: str) -> None:
        """It is part of a network, under this name: its arrays keep their places."""
        for layer in (self, *self.inside()):
            layer.params.close(name, layer.impossible)
            layer.fixed.close(name, layer.impossible)

    def __getstate__(self) -> dict[str, Any]:
        """Functions that gave initial values stay behind once they have: few of them can leave a process."""
        drawn = bool(self.params or self.fixed)
        return {key: plain(a) if drawn and isfunction(a) else a for key, a in self.__dict__.items()}

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        """Draw the parameters."""

    def connect(self, shape: Shape | None, /) -> Shape | None:
        """Check the shape that arrives (None: unknown); the shape that leaves."""
        return shape

    def declared_shape(self) -> Shape | None:
        """The shape of what it hands out, as far as it is known without what arrives."""
        return None

    def events(self, x: ArrayLike) -> Spikes:
        """Tokens, integers (T, B), as Spikes; of layers that read tokens."""
        raise TypeError(f"{type(self).__name__} does not define events")

    def smoothed(self) -> None:
        """Replace spikes by their smooth twins, for gradient checks."""

    def inside(self) -> tuple[Layer, ...]:
        """The layers that it is made of, if any."""
        return ()

    def prepare(self, context: Context) -> Any:
        """What depends on parameters only, computed once per call of the network."""

    def initial_state(self, batch: int, rng: np.random.Generator | None = None) -> Any:
        """The state of `batch` samples before the first step, None where there is none."""

    def forward(self, x: Any, state: Any, prepared: Any, context: Context) -> Result:
        """All steps of one chunk."""
        raise TypeError(f"{type(self).__name__} does not define forward")

    def backward(self, tape: Any, dy: np.ndarray, dstate: Any, dhidden: dict | None, prepared: Any,
                 context: Context) -> Gradients:
        """The gradients of one chunk."""
        raise TypeError(f"{type(self).__name__} does not define backward")

    def step(self, loops: Any) -> tuple | None:
        """What a compiled step of the whole network needs (devices/cpu/step.py).

        None: it has no such step; (): it hands on what it gets.
        """
        return None

    def bounds(self) -> dict[str, Bound]:
        """name -> where the values of an array lie; learned ones are put back there after each update."""
        return {}

    def learned_within(self) -> list[str]:
        """What it learns within which bounds, in words."""
        return []

    def impossible(self, name: str, array: np.ndarray) -> str:
        """Why an array of the right shape cannot be the parameter or setting `name`; "" where it can."""
        inside = (inner.impossible(name, array) for inner in self.inside())
        return self.bounds().get(name, Bound()).refusal(name, array) or next(filter(None, inside), "")

    def round_delays(self) -> int:
        """Make all real delays whole steps, in place; how many were none."""
        return sum(layer.round_delays() for layer in self.inside())

    def recordable(self) -> tuple[str, ...]:
        """Names of the fields that `record=` may ask for."""
        return ()

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again; JSON."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """The layer of a `config()`."""
        return cls(**config)

    def describe(self) -> str:
        """One line for summaries."""
        return type(self).__name__

    def remark(self) -> str:
        """What a summary says of it below the table, such as the memory it takes; "" for nothing."""
        return ""

    def refuse(self, message: str) -> NoReturn:
        """Raise a ValueError that names this layer."""
        raise ValueError(f"layer {self.name or type(self).__name__}: {message}")

    def __repr__(self) -> str:
        return self.describe()


class Sized(Layer):
    """A layer that must know how many features arrive."""

    def connect(self, shape: Shape | None) -> Shape:
        if shape is None:
            self.refuse("needs to know how many features arrive; put a layer with a size before it, "
                        "or say Network(..., input_shape=N)")
        self.shape = shape
        self.n = size(shape)
        return shape


def values(x: Arriving, dtype: DTypeLike) -> np.ndarray:
    """Input as an array (T, B, N)."""
    return x.dense(dtype) if isinstance(x, Spikes) else x


@overload
def size(shape: Shape) -> int: ...


@overload
def size(shape: None) -> None: ...


def size(shape: Shape | None) -> int | None:
    """Number of features of a shape, None where it is unknown."""
    return None if shape is None else int(np.prod(shape))


def count_of(value: Any, what: str) -> int:
    """`value` as an int; ValueError, in which `what` names it, where it is none from 0 on."""
    if not is_whole(value, least=0):
        raise ValueError(f"{what} must be an integer from 0 on; got {value!r}")
    return int(value)


def number(value: Any, what: str, wanted: str, fits: Callable[[float], bool]) -> float:
    """`value` as a float; ValueError, in which `what` names it, where it is no number or does not fit."""
    try:
        real = float(value) if isinstance(value, Real) and not isinstance(value, bool) else nan
    except OverflowError:
        real = nan
    if not isfinite(real) or not fits(real):
        raise ValueError(f"{what} must be {wanted}; got {value!r}")
    return real


def positive_integer(value: Any, what: str) -> int:
    """`value` as an int; ValueError, in which `what` names it, where it is not one above 0."""
    if not is_whole(value, least=1):
        raise ValueError(f"{what} must be a positive integer; got {value!r}")
    return int(value)
