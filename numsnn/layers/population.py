"""Populations of neurons: one layer class for every model of numsnn.neurons."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..checked import checked
from ..devices import buffers
from ..devices.contract import Dynamics, Gradients as Incoming, Recurrent, Start, Want
from ..neurons import activation as activations, surrogate as surrogates
from .delays import Delays
from .initialise import Value, initial, plain
from .late import LateRecurrence
from .layer import Arriving, Context, Gradients, Result, Shape, positive_integer, size, values
from .rates import rates, spikes_gradient
from .states import state_type

Names = tuple[str, ...] | list[str] | str


class Prepared(NamedTuple):
    """What the parameters give, the same for all chunks of a batch."""
    coefficients: Any           # Params of (N,) arrays
    recurrent: Recurrent | None
    settings: Any               # Settings of float64 arrays (N,)


class Population(LateRecurrence):
    """n neurons of one model, optionally with all-to-all recurrence within the population.

    x: (T, B, n) input current or Spikes; y: (T, B, n).  With recurrence the current of step t is I_t = x_t +
    recurrent_bias + y_{t-1} recurrent, where y is what recurs; `recurrent` is (n, n), from and to, diagonal
    included.

    A gated model takes several currents, G to a neuron (LSTM: i, f, c, o).  x is then (T, B, G n), all
    currents of the first gate first; `recurrent` is (n, G n) and `recurrent_bias` (G n,) in the same order.
    Dense(n_in, G n) before it has a weight for each.

    n               number of neurons, or their shape (channels, rows, columns); None: as many, and of the
                    shape, as what arrives
    recurrent       False; True (what recurs is the spike, or what the model's description says); the name of
                    the field that recurs ("v"); `ns.Delays(max=...)`: it comes back late, see below; None:
                    the model's own, False for most
    learn           names of the model's settings that are learned; the others stay fixed
    shared          names of settings with one value for the population instead of one per neuron
    per_channel     names of settings with one value for each channel of a picture
    bounds          {setting: (low, high)} instead of the model's: numbers, or arrays with one for each value;
                    None: no bound.  Learned values are put back there after each update
    learn_as        {setting: "value", "log" or "logit"}, or one of these for all that are learned: what of it
                    is learned (numsnn.layers.learned); the parameter is then called log_tau_mem,
                    logit_tau_mem; None: the model's own, "value" where it has none
    surrogate       name, or a surrogate (see numsnn.neurons.surrogate); None: the model's own,
                    multi_gaussian where it has none
    comparator      ">" or ">=": when v at the threshold is a spike; None: the model's own, ">" where it has
                    none
    activation      of an analog output, for models that have one: identity, relu, selu, sigmoid or tanh;
                    None: the model's own
    output          field that the next layer receives: "spike", "v" or "theta"; None: the model's own
    init_state      name of the initial state (see the model); its random numbers are drawn in training
                    only, `run` takes 0
    recurrent_init, recurrent_bias_init
                    initial values of the recurrence; recurrent_bias_init=False: no bias; None: the model's
                    own
    further keywords: the model's settings (numbers, arrays (n,), initialisers) and options

    With `recurrent=ns.Delays(max=..., axonal=True)` what neuron i hands out comes back after 1 + d_i steps,
    with `recurrent=ns.Delays(max=...)` to neuron j after 1 + d_ij steps:

        I_t[j] = x_t[j] + recurrent_bias[j] + sum_{k=0 ... max, i} recurrent[i, j] K(k; d, sigma) y_{t-1-k}[i]

    d: `params["delay"]`, (n,) or, of synapses, (n, G n), in steps, within [0, max], learned; K: the share of
    lag k, see `ns.Delays`; sigma: its width, a setting that `ns.AnnealDelays` narrows; `round_delays` makes
    delays whole.  What is on its way is part of the state, `coming`: of neurons what they handed out,
    (B, max + 1, n), of synapses the currents that it gives, (B, max + 1, G n).  A spike adds to n (max + 1)
    currents while delays of synapses are spread, to n once they are whole; those of neurons cost a product a
    step.  Source: DelRec, 2025, whose triangle goes beyond [0, max] and is not scaled to a sum of 1 there.
    """

    needs = ("population_forward", "population_backward")

    @checked
    def __init__(self, n: int | tuple[int, ...] | None = None, *, 
                 recurrent: bool | str | Delays | dict[str, Any] | None = None,
                 learn: Names = (), shared: Names = (), per_channel: Names = (),
                 bounds: dict[str, Any] | None = None, learn_as: str | dict[str, str] | None = None,
                 surrogate: str | dict[str, Any] | surrogates.Surrogate | None = None,
                 comparator: str | None = None, activation: str | None = None, output: str | None = None,
                 init_state: str = "zeros",
                 recurrent_init: Value = "orthogonal", recurrent_bias_init: Value | bool | None = None,
                 name: str | None = None, **more: Any):
        super().__init__(name)
        self._choose_variant(more)
        self._take_size(n)
        self.learn, self.shared, self.per_channel = _names(learn), _names(shared), _names(per_channel)
        self._take_bounds(bounds, learn_as)
        own = self.model.defaults
        if activation is not None and "activation" not in own:
            self.refuse(f"{self.model.name} has no analog output, and so no activation")
        self.comparator = comparator or own["comparator"]
        self.init_state = init_state
        chosen = surrogates.get(own["surrogate"] if surrogate is None else surrogate)
        self.surrogate = chosen.with_comparator(self.comparator)
        self.activation = activations.get(activation or own.get("activation", "identity"))
        self.output = output or self.model.output
        recurring: Any = own["recurrent"] if recurrent is None else recurrent
        recurring = self._take_delays(recurring)
        self.recur: str | None = {False: None, True: self.model.recurs}.get(recurring, recurring)
        self.recurrent_init = recurrent_init
        of_bias: Any = own["recurrent_bias_init"] if recurrent_bias_init is None else recurrent_bias_init
        self.recurrent_bias_init: Value | bool = of_bias
        self._take(more)
        self._check()

    def _take_size(self, n):
        what = f"{type(self).__name__}: n"
        self.shape = None
        self.n = None
        if isinstance(n, (tuple, list)):
            self.shape = tuple(positive_integer(m, what) for m in n)
            self.n = size(self.shape)
        elif n is not None:
            self.n = positive_integer(n, what)

    def _take(self, more):
        """Split the further keywords into settings and options."""
        settings, options = self.model.Settings._fields, self.model.options
        unknown = [key for key in more if key not in settings and key not in options]
        if unknown:
            known = f"settings of {self.model.name}: {', '.join(settings)}"
            if options:
                known += f"; options: {', '.join((*options, *self.model.variants))}"
            self.refuse(f"unknown keyword {unknown[0]!r}; {known}")
        self.settings = self.model.Settings()._replace(**{k: v for k, v in more.items() if k in settings})
        self.options = {key: more.get(key, allowed[0]) for key, allowed in options.items()}
        for key, value in self.options.items():
            if not isinstance(value, (str, bool, np.bool_, int)) or value not in options[key]:
                self.refuse(f"{key} must be one of {', '.join(map(repr, options[key]))}; got {value!r}")

    def _check(self):
        model, settings = self.model, self.model.Settings._fields
        named = {"learn": self.learn, "shared": self.shared, "per_channel": self.per_channel}
        for what, names in named.items():
            unknown = [name for name in names if name not in settings]
            if unknown:
                self.refuse(f"{what}: {model.name} has no setting {unknown[0]!r}; "
                            f"there are {', '.join(settings)}")
        for what, field in (("output", self.output), ("recurrent", self.recur)):
            if field is not None and field not in model.Out._fields:
                self.refuse(f"{what}: {model.name} hands out {', '.join(model.Out._fields)}; got {field!r}")
        if self.init_state not in model.initial_state:
            known = ", ".join(map(repr, model.initial_state))
            self.refuse(f"init_state: {model.name} knows {known}; got {self.init_state!r}")
        self._check_late()
        conflict = model.conflict(self.learn, self.options, self.output)
        if conflict:
            self.refuse(conflict)

    @property
    def kind(self) -> str:      # type: ignore[override]
        return type(self).__name__.lower()

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        self.dtype = np.dtype(dtype)
        self.dt = dt
        label = self.name or type(self).__name__
        for name, value in self.settings._asdict().items():
            array = initial(value, rng, self._shape_of(name), f"{label}.{name}")
            (self.params if name in self.learn else self.fixed)[self.key(name)] = self._begin(name, array)
        if self.recur:
            n_out = len(self.model.recurrent) * self.n
            weight = initial(self.recurrent_init, rng, (self.n, n_out), f"{label}.recurrent")
            self.params["recurrent"] = weight.astype(dtype)
            if self.recurrent_bias_init is not False:
                bias = initial(self.recurrent_bias_init, rng, (n_out,), f"{label}.recurrent_bias")
                self.params["recurrent_bias"] = bias.astype(dtype)
        if self.delays:
            self._build_late(rng, dtype)
        self._needed = self._coefficients_of(self.learn)

    def _shape_of(self, setting) -> tuple:
        if setting in self.shared:
            return (1,)
        return (self.shape[0],) if setting in self.per_channel else (self.n,)

    def declared_shape(self) -> Shape | None:
        if self.shape:
            return self.shape
        return None if self.n is None else (self.n,)

    def connect(self, shape: Shape | None) -> Shape:
        gates = len(self.model.feedforward)
        if self.n is None:
            self._take_arriving(shape, gates)
        arriving, wanted = size(shape), gates * self.n
        if arriving not in (None, wanted):
            kind = type(self).__name__
            if gates > 1:
                self.refuse(f"{kind}({self.n}) takes {gates} * {self.n} = {wanted} currents, but {arriving} "
                            f"inputs arrive: put Dense({arriving}, {wanted}) before it")
            self.refuse(f"has {self.n} neurons, but {arriving} inputs arrive; "
                        f"put Dense({arriving}, {self.n}) before it or use {kind}({arriving})")
        if self.shape is None:
            self.shape = shape if gates == 1 else (self.n,)
        if self.per_channel and (self.shape is None or len(self.shape) != 3):
            self.refuse(f"per_channel={self.per_channel} needs neurons in pictures "
                        f"(channels, rows, columns); got {self.shape or self.n}")
        return self.shape or (self.n,)

    def _take_arriving(self, shape, gates):
        """As many neurons as what arrives, in its shape."""
        if shape is None or shape[0] % gates:
            why = "nothing says what arrives" if shape is None else \
                f"{shape[0]} is no multiple of its {gates} currents"
            self.refuse(f"does not know how many neurons it has, because {why}; say {type(self).__name__}(n)")
        self.shape = (shape[0] // gates, *shape[1:])
        self.n = size(self.shape)

    # ---- state

    @property
    def State(self) -> Any:
        """The model's State, with what recurs where the model does not carry it."""
        return state_type(self.model, self.recur, self.delays is not None)

    def initial_state(self, batch: int, rng: np.random.Generator | None = None) -> Any:
        draw = np.zeros((batch, self.n)) if rng is None else rng.random((batch, self.n))
        state = self.model.initial_state[self.init_state](self._settings(), draw)
        state = [np.ascontiguousarray(np.broadcast_to(a, draw.shape), self.dtype) for a in state]
        extra = len(self.State._fields) - len(state)
        shape = (batch, self.n_lags, self.n_coming) if self.delays else draw.shape
        return self.State(*state, *(np.zeros(shape, self.dtype) for _ in range(extra)))

    def _split(self, state):
        """(the model's state, what recurs)."""
        own = self.model.State(*state[:len(self.model.State._fields)])
        if not self.recur:
            return own, None
        return own, getattr(state, self.recur) if len(state) == len(own) else state[len(own)]

    def _join(self, state, last):
        return self.State(*state, *((last,) if len(self.State._fields) > len(state) else ()))

    # ---- runs

    def dynamics(self) -> Dynamics:
        """What the loops need to know of this population."""
        return Dynamics(self.model, self.surrogate, self.recur, self.activation, self.delays is not None)

    @property
    def borrows(self) -> bool:      # type: ignore[override]
        """The currents become the total currents, in their place, where there is recurrence."""
        return not self.recur and len(self.model.Inputs._fields) == 1

    @property
    def emits_events(self) -> bool:
        """Whether the next layer receives Spikes."""
        return self.output == "spike" and self.surrogate.hard

    def recordable(self) -> tuple[str, ...]:
        return (*self.model.Out._fields, *(("rate",) if self.model.spiking else ()))

    def prepare(self, context: Context) -> Prepared:
        settings = self._settings()
        return Prepared(self._coefficients(settings), self.recurrence(context), settings)

    def step(self, loops: Any) -> tuple | None:
        read_in_place = {"recurrent_bias"} | (set() if self.by_synapse and self.sigma else {"recurrent"})
        arrays = {**self.params, **self.fixed}
        watched = tuple(a for name, a in arrays.items() if name not in read_in_place)
        weight, bias = self.params.get("recurrent"), self.params.get("recurrent_bias")
        return loops.population_step(self.dynamics(), self.n, self.dtype, self._coefficients(), weight, bias,
                                     self.output, watched, self.late())

    def _currents(self, x, loops):
        """Inputs of arrays (T, B, N) from (T, B, G N); what only the recurrence feeds begins with zeros."""
        if self.borrows:
            return self.model.Inputs(x)
        parts = dict(zip(self.model.feedforward, loops.parted(x, self.n), strict=True))
        for name in self.model.Inputs._fields:
            if name not in parts:
                parts[name] = loops.zeros((*x.shape[:2], self.n), x.dtype)
        return self.model.Inputs(**parts)

    def forward(self, x: Arriving, state: Any, prepared: Prepared, context: Context) -> Result:
        before, last = self._split(state)
        start = Start(prepared.coefficients, before, last, context.lengths)
        currents = self._currents(values(x, self.dtype), context.loops)
        want = self._wanted(context)
        run = context.loops.population_forward(self.dynamics(), currents, start, prepared.recurrent, want)
        events = self.emits_events and not context.dense
        y = run.events if events else getattr(run.out, self.output)
        seen = {name: getattr(run.out, name) for name in context.record if name != "rate"}
        if "rate" in context.record:
            spikes = run.events if self._lists_spikes else np.asarray(run.out.spike)
            seen["rate"] = rates(spikes, context.lengths)
        is_kept = any(y is kept for kept in seen.values()) or context.tape and y is run.tape.values
        if is_kept:
            y = y.copy()        # the next layer may overwrite it
        return Result(y, self._join(run.state, run.last), run.tape, seen)

    @property
    def _lists_spikes(self):
        """Whether spikes come as Spikes, from which rates are counted."""
        return self.surrogate.hard and self.model.spiking

    def _wanted(self, context):
        """What the loops shall hand out."""
        fields = set(context.record) - {"rate"}
        events = self.emits_events and not context.dense
        if not events:
            fields.add(self.output)
        rate = "rate" in context.record
        if rate and not self._lists_spikes:
            fields.add("spike")
        alone = self.borrows and fields == {self.output} and not context.record
        return Want(tuple(sorted(fields)), events or rate and self._lists_spikes, context.tape,
                    context.into if alone else None)

    def backward(self, tape: Any, dy: np.ndarray, dstate: Any, dhidden: dict | None, prepared: Prepared,
                 context: Context) -> Gradients:
        into = context.into if self.borrows and not dhidden else None
        if into is None:
            dy = buffers.contiguous(dy)
        out = self._out_gradient(dy, dict(dhidden or {}), tape, context)
        dbefore, dlast = self._split(dstate)
        carried = self.model.carries(self.recur) and not self.delays
        if carried:
            dlast = context.loops.zeros(dlast.shape, dlast.dtype)       # it is counted in dbefore
        g = context.loops.population_backward(self.dynamics(), tape, prepared.recurrent,
                                              Incoming(out, dbefore, dlast, into), self._needed)
        params = self._settings_gradient(g.coefficients, prepared.settings, context.loops)
        if self.recur:
            if g.weight:
                params["recurrent"] = context.loops.beside(g.weight)
            if g.bias is not None:
                params["recurrent_bias"] = context.loops.beside(g.bias)
            if self.delays:
                params |= self._late_gradients(g, context.loops)
            if carried:
                recurring = getattr(g.state, self.recur) + g.last
                g = g._replace(state=g.state._replace(**{self.recur: recurring}))
        dx = None
        if context.want_dx:
            dx = context.loops.beside([getattr(g.current, name) for name in self.model.feedforward])
        return Gradients(dx, self._join(g.state, g.last), params)

    def _out_gradient(self, dy, incoming, tape, context):
        """Out of gradients: of what the next layer received and of hidden fields."""
        if "rate" in incoming:
            spikes = spikes_gradient(incoming.pop("rate"), tape.current[0].shape, context.lengths)
            incoming["spike"] = spikes + incoming["spike"] if "spike" in incoming else spikes
        incoming[self.output] = dy + incoming[self.output] if self.output in incoming else dy
        return self.model.Out(*(incoming.get(name) for name in self.model.Out._fields))

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "settings": self._given_settings()}

    def smoothed(self) -> None:
        """The surrogate's smooth twin takes the place of the spike (gradient tests)."""
        self.surrogate = self.surrogate.smoothed()

    def config(self) -> dict[str, Any]:
        settings = {name: plain(value) for name, value in self._given_settings()._asdict().items()}
        analog = {"activation": self.activation.name} if "activation" in self.model.defaults else {}
        recurrent = self.delays.config() if self.delays else self.recur or False
        return {"n": self.n if self.shape is None else self.shape, "recurrent": recurrent,
                "learn": self.learn, "shared": self.shared, "per_channel": self.per_channel,
                **self._config_of_bounds(),
                "surrogate": {"name": self.surrogate.name, **self.surrogate.parameters},
                "comparator": self.comparator, **analog, "output": self.output, "init_state": self.init_state,
                "recurrent_init": plain(self.recurrent_init),
                "recurrent_bias_init": plain(self.recurrent_bias_init), "name": self.name,
                **self.options, **self.variant, **settings}

    def describe(self) -> str:
        flat = self.shape is None or len(self.shape) == 1
        usual = bool(self.model.defaults["recurrent"]) == bool(self.recur)
        unusual = ", recurrent" if self.recur else ", not recurrent"
        if self.delays:
            usual, unusual = False, f", recurrent={self.delays}"
        return f"{type(self).__name__}({self.n if flat else self.shape}{'' if usual else unusual})"


def _names(names):
    return (names,) if isinstance(names, str) else tuple(names)
