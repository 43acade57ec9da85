"""Populations of neurons: one layer class for every model of numsnn.neurons."""

from functools import lru_cache
from inspect import Parameter, Signature, signature
from typing import Any, NamedTuple

import numpy as np

from ..devices import buffers
from ..devices.contract import Dynamics, Gradients as Incoming, Recurrent, Start, Want
from ..neurons import NEURONS, Model, activation as activations, surrogate as surrogates
from ..signals.spikes import Spikes
from .initialise import Value, initial, plain
from .layer import Gradients, Layer, Result, positive_integer, size, values


class Prepared(NamedTuple):
    """What the parameters give, the same for all chunks of a batch."""
    coefficients: Any           # Params of (N,) arrays
    recurrent: Recurrent | None
    settings: Any               # Settings of float64 arrays (N,)


class Population(Layer):
    """n neurons of one model, optionally with all-to-all recurrence within the population.

    x: (T, B, n) input current or Spikes; y: (T, B, n).  With recurrence the current of step t is
    I_t = x_t + recurrent_bias + y_{t-1} recurrent, where y is what recurs; `recurrent` is (n, n), from and to, diagonal included.

    A gated model takes several currents, G to a neuron (LSTM: i, f, c, o).  x is then (T, B, G n), all currents of the first gate
    first; `recurrent` is (n, G n) and `recurrent_bias` (G n,) in the same order.  Dense(n_in, G n) before it has a weight for each.

    n               number of neurons, or their shape (channels, rows, columns); None: as many, and of the shape, as what arrives
    recurrent       False; True (what recurs is the spike, or what the model's description says); or the name of the field that recurs
                    ("v"); None: the model's own, False for most
    learn           names of the model's settings that are learned; the others stay fixed
    shared          names of settings with one value for the population instead of one per neuron
    per_channel     names of settings with one value for each channel of a picture
    surrogate       name, or a surrogate (see numsnn.surrogate); None: the model's own, multi_gaussian where it has none
    comparator      ">" or ">=": when v at the threshold is a spike; None: the model's own, ">" where it has none
    activation      of an analog output, for models that have one: identity, relu, selu, sigmoid or tanh; None: the model's own
    output          field that the next layer receives: "spike", "v" or "theta"; None: the model's own
    init_state      name of the initial state (see the model); its random numbers are drawn in training only, `run` takes 0
    recurrent_init, recurrent_bias_init   initial values of the recurrence; recurrent_bias_init=False: no bias; None: the model's own
    further keywords: the model's settings (numbers, arrays (n,), initialisers) and options
    """

    model: Model = None
    needs = ("population_forward", "population_backward")

    def __init__(self, n: int | tuple | None = None, *, recurrent: bool | str | None = None, learn: tuple | str = (), shared: tuple | str = (),
                 per_channel: tuple | str = (),
                 surrogate=None, comparator: str | None = None, activation: str | None = None, output: str | None = None,
                 init_state: str = "zeros",
                 recurrent_init: Value = "orthogonal", recurrent_bias_init: Value | None = None, name: str | None = None, **more):
        super().__init__(name)
        self.variant = {}
        for option, models in self.model.variants.items():
            choice = more.pop(option, next(iter(models)))
            if choice not in models:
                self.refuse(f"{option} must be one of {', '.join(map(repr, models))}; got {choice!r}")
            self.model, self.variant[option] = NEURONS[models[choice]], choice
        what = f"{type(self).__name__}: n"
        self.shape = tuple(positive_integer(m, what) for m in n) if isinstance(n, (tuple, list)) else None
        self.n = None if n is None else positive_integer(n, what) if self.shape is None else size(self.shape)
        self.learn, self.shared, self.per_channel = _names(learn), _names(shared), _names(per_channel)
        own = self.model.defaults
        if activation is not None and "activation" not in own:
            self.refuse(f"{self.model.name} has no analog output, and so no activation")
        self.comparator, self.init_state = comparator or own["comparator"], init_state
        self.surrogate = surrogates.get(own["surrogate"] if surrogate is None else surrogate).with_comparator(self.comparator)
        self.activation = activations.get(activation or own.get("activation", "identity"))
        self.output = output or self.model.output
        recurrent = own["recurrent"] if recurrent is None else recurrent
        self.recur = {False: None, True: self.model.recurs}.get(recurrent, recurrent)
        self.recurrent_init = recurrent_init
        self.recurrent_bias_init = own["recurrent_bias_init"] if recurrent_bias_init is None else recurrent_bias_init
        self._take(more)
        self._check()

    def _take(self, more):
        """Split the further keywords into settings and options."""
        settings, options = self.model.Settings._fields, self.model.options
        unknown = [key for key in more if key not in settings and key not in options]
        if unknown:
            self.refuse(f"unknown keyword {unknown[0]!r}; settings of {self.model.name}: {', '.join(settings)}"
                        + (f"; options: {', '.join((*options, *self.model.variants))}" if options else ""))
        self.settings = self.model.Settings()._replace(**{k: v for k, v in more.items() if k in settings})
        self.options = {key: more.get(key, allowed[0]) for key, allowed in options.items()}
        for key, value in self.options.items():
            if value not in options[key]:
                self.refuse(f"{key} must be one of {', '.join(map(repr, options[key]))}; got {value!r}")

    def _check(self):
        model = self.model
        for what, names in (("learn", self.learn), ("shared", self.shared), ("per_channel", self.per_channel)):
            for name in names:
                if name not in model.Settings._fields:
                    self.refuse(f"{what}: {model.name} has no setting {name!r}; there are {', '.join(model.Settings._fields)}")
        for what, field in (("output", self.output), ("recurrent", self.recur)):
            if field is not None and field not in model.Out._fields:
                self.refuse(f"{what}: {model.name} hands out {', '.join(model.Out._fields)}; got {field!r}")
        if self.init_state not in model.initial_state:
            self.refuse(f"init_state: {model.name} knows {', '.join(map(repr, model.initial_state))}; got {self.init_state!r}")
        conflict = model.conflict(self.learn, self.options, self.output)
        if conflict:
            self.refuse(conflict)

    @property
    def settings_of_host(self):
        return self.learn

    @property
    def kind(self):
        return type(self).__name__.lower()

    def build(self, rng, dtype, dt):
        self.dtype, self.dt = np.dtype(dtype), dt
        for name, value in self.settings._asdict().items():
            shape = (1,) if name in self.shared else (self.shape[0],) if name in self.per_channel else (self.n,)
            array = initial(value, rng, shape, f"{self.name or type(self).__name__}.{name}")
            if name.startswith("tau_") and array.min() <= 0:
                self.refuse(f"{name} is a time constant in the unit of dt and must be positive; got {array.min():g}")
            (self.params if name in self.learn else self.fixed)[name] = array.astype(dtype)
        if self.recur:
            label, size_out = self.name or type(self).__name__, len(self.model.recurrent) * self.n
            self.params["recurrent"] = initial(self.recurrent_init, rng, (self.n, size_out), f"{label}.recurrent").astype(dtype)
            if self.recurrent_bias_init is not False:
                self.params["recurrent_bias"] = initial(self.recurrent_bias_init, rng, (size_out,), f"{label}.recurrent_bias").astype(dtype)
        self._needed = self._coefficients_of(self.learn)

    def declared_shape(self):
        return self.shape or (None if self.n is None else (self.n,))

    def connect(self, shape):
        gates, kind = len(self.model.feedforward), type(self).__name__
        if self.n is None:
            if shape is None or shape[0] % gates:
                self.refuse(f"does not know how many neurons it has, because {'nothing says what arrives' if shape is None else f'{shape[0]} is no multiple of its {gates} currents'}; "
                            f"say {kind}(n)")
            self.shape = (shape[0] // gates, *shape[1:])
            self.n = size(self.shape)
        if size(shape) not in (None, gates * self.n):
            if gates > 1:
                self.refuse(f"{kind}({self.n}) takes {gates} * {self.n} = {gates * self.n} currents, but {size(shape)} inputs arrive: "
                            f"put Dense({size(shape)}, {gates * self.n}) before it")
            self.refuse(f"has {self.n} neurons, but {size(shape)} inputs arrive; put Dense({size(shape)}, {self.n}) before it "
                        f"or use {kind}({size(shape)})")
        self.shape = (shape if gates == 1 else (self.n,)) if self.shape is None else self.shape
        if self.per_channel and (self.shape is None or len(self.shape) != 3):
            self.refuse(f"per_channel={self.per_channel} needs neurons in pictures (channels, rows, columns); got {self.shape or self.n}")
        return self.shape or (self.n,)

    def lower_bounds(self):
        return {name: self.dt / 10 for name in self.learn if name.startswith("tau_")}

    # ---- settings and coefficients.  Sharing is undone before the loops, which know one shape, and done again after them.

    def _settings(self):
        """The settings as float64 arrays (n,)."""
        have = {**self.fixed, **self.params}
        return self.model.Settings(*(np.repeat(have[name].astype(np.float64), self.n // have[name].size)
                                     for name in self.model.Settings._fields))

    def _coefficients(self, settings=None):
        p = self.model.coefficients(self._settings() if settings is None else settings, self.options, self.dt)
        return type(p)(*(np.asarray(a, self.dtype) if np.ndim(a) else np.full(self.n, a, self.dtype) for a in p))

    def _settings_gradient(self, dparams, settings):
        """Gradients of the learned settings from those of the coefficients (None: not needed, hence zero)."""
        if not self.learn:
            return {}
        d = type(dparams)(*(np.zeros(self.n) if a is None else a.astype(np.float64) for a in dparams))
        d = self.model.coefficients_adjoint(settings, self.options, self.dt, d)._asdict()
        return {name: self._shared_out(d[name], self.params[name].size) for name in self.learn}

    def _shared_out(self, d, n):
        """The gradient (n,) of a setting from that of each neuron's."""
        return (np.broadcast_to(d, self.n).reshape(n, -1).sum(1) if n != self.n or np.ndim(d) == 0 else d).astype(self.dtype)

    def _coefficients_of(self, names):
        """The coefficients whose gradients are needed for those of the given settings."""
        needed = []
        for i, field in enumerate(self.model.Params._fields):
            unit = self.model.Params(*(np.full(self.n, float(i == j)) for j in range(len(self.model.Params._fields))))
            d = self.model.coefficients_adjoint(self._settings(), self.options, self.dt, unit)
            if any(np.any(getattr(d, name)) for name in names):
                needed.append(field)
        return tuple(needed)

    # ---- state

    @property
    def State(self):
        """The model's State, with what recurs where the model does not carry it."""
        return _state_type(self.model, self.recur)

    def initial_state(self, batch, rng=None):
        draw = np.zeros((batch, self.n)) if rng is None else rng.random((batch, self.n))
        state = self.model.initial_state[self.init_state](self._settings(), draw)
        state = [np.ascontiguousarray(np.broadcast_to(a, draw.shape), self.dtype) for a in state]
        extra = len(self.State._fields) - len(state)
        return self.State(*state, *(np.zeros(draw.shape, self.dtype) for _ in range(extra)))

    def _split(self, state):
        """(the model's state, what recurs)."""
        own = len(self.model.State._fields)
        return self.model.State(*state[:own]), None if not self.recur else getattr(state, self.recur) if len(state) == own else state[own]

    def _join(self, state, last):
        return self.State(*state, *((last,) if len(self.State._fields) > len(state) else ()))

    # ---- runs

    def dynamics(self):
        """What the loops need to know of this population."""
        return Dynamics(self.model, self.surrogate, self.recur, self.activation)

    @property
    def borrows(self):
        """The currents become the total currents, in their place, where there is recurrence."""
        return not self.recur and len(self.model.Inputs._fields) == 1

    @property
    def emits_events(self):
        """Whether the next layer receives Spikes."""
        return self.output == "spike" and self.surrogate.hard

    def recordable(self):
        return (*self.model.Out._fields, *(("rate",) if self.model.spiking else ()))

    def prepare(self, context):
        gates = lambda name: context.loops.parted(self.params[name], self.n) if name in self.params else None
        recurrent = Recurrent(gates("recurrent"), gates("recurrent_bias")) if self.recur else None
        settings = self._settings()
        return Prepared(self._coefficients(settings), recurrent, settings)

    def step(self, loops):
        watched = tuple(a for name, a in {**self.params, **self.fixed}.items() if not name.startswith("recurrent"))
        return loops.population_step(self.dynamics(), self.n, self.dtype, self._coefficients(), self.params.get("recurrent"), self.params.get("recurrent_bias"),
                                     self.output, watched)

    def _currents(self, x, loops):
        """Inputs of arrays (T, B, N) from (T, B, G N); what only the recurrence feeds begins with zeros."""
        if self.borrows:
            return self.model.Inputs(x)
        model, parts = self.model, dict(zip(self.model.feedforward, loops.parted(x, self.n), strict=True))
        return model.Inputs(*(parts[name] if name in parts else loops.zeros((*x.shape[:2], self.n), x.dtype) for name in model.Inputs._fields))

    def forward(self, x, state, prepared, context):
        coefficients, recurrent, _ = prepared
        before, last = self._split(state)
        by_lists, events = self.surrogate.hard and self.model.spiking, self.emits_events and not context.dense
        fields = {name for name in context.record if name != "rate" or not by_lists} - {"rate"}
        fields |= set() if events else {self.output}
        fields |= {"spike"} if "rate" in context.record and not by_lists else set()
        want = Want(tuple(sorted(fields)), events or "rate" in context.record and by_lists, context.tape,
                    context.into if self.borrows and fields == {self.output} and not context.record else None)
        run = context.loops.population_forward(self.dynamics(), self._currents(values(x, self.dtype), context.loops),
                                               Start(coefficients, before, last, context.lengths), recurrent, want)
        y = run.events if events else getattr(run.out, self.output)
        seen = {name: getattr(run.out, name) for name in context.record if name != "rate"}
        if "rate" in context.record:
            seen["rate"] = _rates(run.events if by_lists else np.asarray(run.out.spike), context.lengths)
        if any(y is kept for kept in seen.values()) or context.tape and y is run.tape.values:
            y = y.copy()        # the next layer may overwrite it
        return Result(y, self._join(run.state, run.last), run.tape, seen)

    def backward(self, tape, dy, dstate, dhidden, prepared, context):
        incoming, into = dict(dhidden or {}), context.into if self.borrows and not dhidden else None
        dy = dy if into is not None else buffers.contiguous(dy)
        if "rate" in incoming:
            spikes = _spikes_gradient(incoming.pop("rate"), tape.current[0].shape, context.lengths)
            incoming["spike"] = spikes + incoming["spike"] if "spike" in incoming else spikes
        incoming[self.output] = dy + incoming[self.output] if self.output in incoming else dy
        out = self.model.Out(*(incoming.get(name) for name in self.model.Out._fields))
        dbefore, dlast = self._split(dstate)
        if self.model.carries(self.recur):
            dlast = context.loops.zeros(dlast.shape, dlast.dtype)       # it is counted in dbefore
        g = context.loops.population_backward(self.dynamics(), tape, prepared.recurrent, Incoming(out, dbefore, dlast, into), self._needed)
        params = self._settings_gradient(g.coefficients, prepared.settings)
        if self.recur:
            params["recurrent"] = context.loops.beside(g.weight)
            if g.bias is not None:
                params["recurrent_bias"] = context.loops.beside(g.bias)
            if self.model.carries(self.recur):
                g = g._replace(state=g.state._replace(**{self.recur: getattr(g.state, self.recur) + g.last}))
        dx = context.loops.beside([getattr(g.current, name) for name in self.model.feedforward]) if context.want_dx else None
        return Gradients(dx, self._join(g.state, g.last), params)

    def smoothed(self):
        """The surrogate's smooth twin takes the place of the spike (gradient tests)."""
        self.surrogate = self.surrogate.smoothed()

    def config(self):
        return {"n": self.n if self.shape is None else self.shape, "recurrent": self.recur or False, "learn": self.learn,
                "shared": self.shared, "per_channel": self.per_channel,
                "surrogate": {"name": self.surrogate.name, **self.surrogate.parameters}, "comparator": self.comparator,
                **({"activation": self.activation.name} if "activation" in self.model.defaults else {}), "output": self.output, "init_state": self.init_state, "recurrent_init": plain(self.recurrent_init),
                "recurrent_bias_init": plain(self.recurrent_bias_init), "name": self.name, **self.options, **self.variant,
                **{k: plain(v) for k, v in self.settings._asdict().items()}}

    def describe(self):
        usual = bool(self.model.defaults["recurrent"]) == bool(self.recur)
        more = "" if usual else ", recurrent" if self.recur else ", not recurrent"
        return f"{type(self).__name__}({self.n if self.shape is None or len(self.shape) == 1 else self.shape}{more})"


def _names(names):
    return (names,) if isinstance(names, str) else tuple(names)


@lru_cache(None)
def _state_type(model, recur):
    """The model's State, with what recurs where the model itself does not carry it."""
    if recur is None or model.carries(recur):
        return model.State
    own = model.State._fields
    return NamedTuple(f"Recurrent{model.name}State", [(f, np.ndarray) for f in (*own, f"last_{recur}" if recur in own else recur)])


def _rates(spikes, lengths):
    """Mean number of spikes per valid step, (B, N)."""
    steps, batch, units = spikes.shape
    if isinstance(spikes, Spikes):
        row, entry = spikes.entries()
        flat = row % batch * units + spikes.index[entry]
        total = np.bincount(flat, minlength=batch * units).reshape(batch, units).astype(np.float64)
    else:
        total = spikes.sum(0, dtype=np.float64)
    return total / np.maximum(steps if lengths is None else lengths, 1)[..., None]


def _spikes_gradient(drates, shape, lengths):
    """The gradient (T, B, N) of spikes from that of their `_rates`; padded steps are the loops' business."""
    steps = np.broadcast_to(shape[0] if lengths is None else lengths, shape[1])
    return np.ascontiguousarray(np.broadcast_to(drates / np.maximum(steps, 1).astype(drates.dtype)[:, None], shape))


POPULATIONS: dict[str, type] = {}       # the layer class of each model, by name


def population(model: Model) -> type:
    """The layer class of a model; a model registered by the user gets one that checkpoints know."""
    cls = type(model.name, (Population,), {"model": model, "__doc__": f"{model.doc}\n\nFurther arguments: see `Population`.",
                                           "__module__": __name__})
    general = [p for p in signature(Population.__init__).parameters.values() if p.kind != Parameter.VAR_KEYWORD][1:]
    general = [p.replace(default=model.defaults.get(p.name, p.default)) for p in general if p.name != "activation" or p.name in model.defaults]
    own = {**model.Settings._field_defaults, **{k: allowed[0] for k, allowed in model.options.items()},
           **{k: next(iter(models)) for k, models in model.variants.items()}}
    cls.__signature__ = Signature([*general, *(Parameter(k, Parameter.KEYWORD_ONLY, default=v) for k, v in own.items())])
    POPULATIONS[model.name] = cls
    return cls


# a model that is the variant of another one (LIFNext) is reached through that one's option
_variants = {name for model in NEURONS.values() for models in model.variants.values() for name in models.values()
             if name != model.name}
for _model in NEURONS.values():
    if _model.name not in _variants:
        population(_model)
