"""`Scale` and `Threshold`: populations without a state, whose steps do not know of each other."""

from __future__ import annotations

from typing import Any

from ..checked import checked
from ..neurons import scale, surrogate as surrogates, threshold
from ..neurons.model import Model
from .initialise import Value, plain
from .population import Names, Population


class _Memoryless(Population):
    """What both are made again from."""

    arguments: tuple[str, ...] = ("learn", "shared", "per_channel")

    def config(self) -> dict[str, Any]:
        settings = {key: plain(value) for key, value in self.settings._asdict().items()}
        return {**settings, "n": self.n if self.shape is None else self.shape, "name": self.name,
                **{key: getattr(self, key) for key in self.arguments}}


class Scale(_Memoryless):
    """Each feature times a number of its own: y_t = scale x_t.

    x: (T, B, n) values or Spikes; y: (T, B, n) values.

    scale: a number, an array (n,) or an initial value (see numsnn.layers.initialise).  n: number of features,
    or their shape (channels, rows, columns); None: as many as arrive.  learn: "scale", or () where it stays
    as it is.  shared="scale": one number for all features; per_channel="scale": one for each channel of a
    picture.  Steps do not know of each other.
    """

    model = Model.of("Scale", scale)

    @checked
    def __init__(self, scale: Value = 1.0, n: int | tuple[int, ...] | None = None, *,
                 learn: Names = ("scale",), shared: Names = (), per_channel: Names = (),
                 name: str | None = None):
        super().__init__(n, scale=scale, learn=learn, shared=shared, per_channel=per_channel, name=name)


class Threshold(_Memoryless):
    """Spikes where what arrives is above a threshold: y_t = H(x_t - v_threshold), which is 1 or 0.

    x: (T, B, n) values or Spikes; y: (T, B, n) Spikes.  Nothing is carried on or reset: what was below the
    threshold is forgotten.

    n: number of features, or their shape (channels, rows, columns); None: as many as arrive.  v_threshold: a
    number, an array (n,) or an initial value (see numsnn.layers.initialise), in the unit of x.  surrogate,
    comparator, learn, shared, per_channel: as in `Population`; `record=` knows "spike", "v" (which is x),
    "theta" and "rate".  `Ternary` tells signs too.  Source: McCulloch & Pitts 1943.
    """

    model = Model.of("Threshold", threshold)
    arguments = ("learn", "shared", "per_channel", "comparator")

    @checked
    def __init__(self, n: int | tuple[int, ...] | None = None, *, v_threshold: Value = 1.0,
                 surrogate: str | dict[str, Any] | surrogates.Surrogate | None = None, comparator: str = ">",
                 learn: Names = (), shared: Names = (), per_channel: Names = (), name: str | None = None):
        super().__init__(n, v_threshold=v_threshold, surrogate=surrogate, comparator=comparator, learn=learn,
                         shared=shared, per_channel=per_channel, name=name)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "surrogate": {"name": self.surrogate.name, **self.surrogate.parameters}}
