"""`Network`: a stack of layers, with explicit state, inference and training as two calls, and the backward pass through time."""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple

import numpy as np

from . import loops
from .chunks import join, join_states, part, rows, total, zeros
from .layers import Layer, Population, by_name
from .layers.layer import Context, positive_integer, size
from .loops import threads
from .parameters import Parameters
from .spikes import Spikes
from .summary import summary

CHUNK = 8           # samples that one thread takes through the network together, for layers of up to 128 neurons


class Tape(NamedTuple):
    """What `forward` keeps for `backward`."""
    tapes: list         # by chunk, by layer
    prepared: list      # by layer
    bounds: list
    lengths: np.ndarray | None
    batch: int
    shape: tuple        # of the answer


class BatchResult(NamedTuple):
    """What `loss_and_gradients` gives."""
    loss: float
    grads: dict         # by names of net.params
    y: np.ndarray       # the network's answer
    state: dict         # after the last step


class Network:
    """A stack of layers.

    dt: time step, in the unit of the layers' time constants.  seed: of the initial parameters.  dtype: "float32" or "float64".
    device: "cpu" (Numba) or "reference" (NumPy).  input_shape: of one step of one sample, (N,) or (channels, rows, columns); where the first
    layer tells it, it need not be given.  chunk: samples that a thread takes through the network together; None chooses by
    the widest layer.  The forward pass does not depend on it; gradients do in their last bits, but not on the number of threads.

    Sequences are (T, B, N): time, batch, features, or (T, B, C, H, W) for pictures; arrays of floats, of zeros and ones, of counts, or
    Spikes, whose units are then numbered (c H + h) W + w.
    """

    def __init__(self, *layers: Layer, dt: float = 1.0, seed: int = 0, dtype="float32", device: str = "cpu",
                 chunk: int | None = None, input_shape: tuple | int | None = None):
        if not layers or not all(isinstance(layer, Layer) for layer in layers):
            wrong = next((layer for layer in layers if not isinstance(layer, Layer)), None)
            raise ValueError(f"a network is made of layers, Network(ns.Dense(4, 36), ns.ALIF(36), ...); got {wrong!r}")
        if not dt > 0 or not np.isfinite(dt):
            raise ValueError(f"dt must be a positive number; got {dt!r}")
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64; got {dtype!r}")
        if chunk is not None and (not isinstance(chunk, int) or chunk < 1):
            raise ValueError(f"chunk must be a positive number of samples, or None; got {chunk!r}")
        self.loops, self.device = loops.get(device), device
        self.dt, self.seed, self.dtype, self.chunk = float(dt), seed, np.dtype(dtype), chunk
        self.layers: dict[str, Layer] = {}
        for layer in layers:
            self._add(layer)
        self.input_shape = None if input_shape is None else tuple(positive_integer(n, "input_shape") for n in np.atleast_1d(input_shape))
        shape = self.input_shape
        for i, layer in enumerate(layers):
            if i == 0 and shape is None and hasattr(layer, "n_in"):
                shape = self.input_shape = (layer.n_in,)
            shape = layer.connect(shape)
            if i == 0 and self.input_shape is None:
                self.input_shape = shape
            layer.shape_out, layer.size_out = shape, size(shape)
            layer.build(np.random.default_rng([seed, i]), self.dtype, self.dt)
        self.params = Parameters(self.layers)

    def _add(self, layer):
        if hasattr(layer, "size_out"):
            raise ValueError(f"layer {layer.name or layer!r} is part of a network already; make a new one for each place")
        if layer.name is None:
            taken = (f"{layer.kind}{i}" for i in range(len(self.layers) + 1))
            layer.name = next(name for name in taken if name not in self.layers)
        if layer.name in self.layers:
            raise ValueError(f"two layers are named {layer.name!r}; names must differ")
        self.layers[layer.name] = layer

    # ---- inference

    def run(self, x, state: dict | None = None, *, lengths=None, record: dict | str | None = None):
        """Inference: (y, state), or (y, state, seen) with `record`.  Changes nothing, keeps no tape, draws no random numbers.

        x: (T, B, N).  state: what an earlier run returned, None for the initial state.  lengths: (B,) valid steps of each sample.
        record: {"alif0": ("v", "spike", "theta")}; seen["alif0"]["v"] is then (T, B, N).  The field "rate" is the mean number of
        spikes per step of each neuron, (B, N); record="rate" asks for it of all spiking populations.
        """
        x = self._input(x)
        record = self._record(record)
        y, state, _, seen = self._forward(x, self._state(state, x.shape[1]), self._lengths(lengths, x), record or {}, False)
        y = self._shaped(y, list(self.layers.values())[-1])
        seen = {name: {field: self._shaped(a, self.layers[name]) for field, a in fields.items()} for name, fields in seen.items()}
        return (y, state) if record is None else (y, state, seen)

    def step(self, x, state: dict | None = None):
        """One time step of inference, (y, state): x is (B, N).  The same bits as `run` over the whole sequence."""
        if not isinstance(x, Spikes):
            x = np.asarray(x)
            if self.input_shape is not None and len(self.input_shape) > 1 and x.shape[1:] == self.input_shape:
                x = x.reshape(len(x), -1)
            if x.ndim != 2:
                raise ValueError(f"step takes one time step, x (B, N); got shape {x.shape}. For one sample use x[None]; "
                                 f"for a sequence (T, B, N) use run")
            x = x[None]
        y, state = self.run(x, state)
        return (y[0] if list(self.layers.values())[-1].answers_each_step else y), state

    def initial_state(self, batch: int, rng: np.random.Generator | None = None) -> dict:
        """The state in which a sequence begins; without rng nothing random is in it."""
        streams = [None] * len(self.layers) if rng is None else rng.spawn(len(self.layers))
        return {name: layer.initial_state(batch, stream) for (name, layer), stream in zip(self.layers.items(), streams, strict=True)}

    # ---- training

    def forward(self, x, state: dict | None = None, *, rng: np.random.Generator | None = None, lengths=None):
        """Training: (y, state, tape).  Random initial states are drawn from rng (where state is None)."""
        x = self._input(x)
        state = self._state(state, x.shape[1], rng)
        y, state, tape, _ = self._forward(x, state, self._lengths(lengths, x), {}, True)
        return self._shaped(y, list(self.layers.values())[-1]), state, tape

    def backward(self, tape: Tape, dy, dstate: dict | None = None, dhidden: dict | None = None, *, want_dx: bool = False):
        """Backpropagation through time: (grads, dstate), or (grads, dstate, dx) with want_dx.

        dy: gradient of the loss with respect to y.  dstate: with respect to the final state (a dict as `forward` returns it; None:
        zero); comes back with respect to the initial state.  dhidden: {"alif0": {"spike": (T, B, N)}}, gradients with respect to what
        hidden populations hand out, for regularisers.  grads has the keys of net.params.
        """
        dy, dstate = np.ascontiguousarray(dy, self.dtype), dstate or {}
        if dy.shape == self._shape(tape.shape, list(self.layers.values())[-1]):
            dy = dy.reshape(tape.shape)
        if dy.shape != tape.shape:
            raise ValueError(f"dy is the gradient of the answer and must have its shape {tape.shape}; got {dy.shape}")
        self._hidden(dhidden or {})
        parts = [None] * len(tape.bounds)

        def task(c):
            first, last = tape.bounds[c]
            mine = {name: rows(dstate.get(name), first, last) for name in self.layers}
            hidden = {name: {field: np.ascontiguousarray(a[:, first:last], self.dtype).reshape(len(a), last - first, -1)
                             for field, a in fields.items()}
                      for name, fields in (dhidden or {}).items()}
            parts[c] = self._backward_chunk(tape, c, part(dy, first, last), mine, hidden, want_dx)

        with self.loops.one_thread():
            threads.run(task, len(parts), self._work(dy.shape[0] if dy.ndim == 3 else 1, tape.batch) * 100)
        grads = {name: total([p[0][name] for p in parts]) for name in self.params}
        states = {name: join_states([p[1][name] for p in parts]) for name in self.layers}
        return (grads, states, np.concatenate([p[2] for p in parts], 1)) if want_dx else (grads, states)

    def loss_and_gradients(self, loss, x, labels, *, mask=None, lengths=None, state: dict | None = None,
                           rng: np.random.Generator | None = None) -> BatchResult:
        """(loss, grads, y, state) of a batch: forward, loss and backward in one go, chunk by chunk.

        The same numbers as forward, loss(y, labels, mask, lengths) and backward, except that a chunk's tape lives only while the
        chunk does: memory grows with the number of threads, not with the batch.
        """
        x = self._input(x)
        lengths = self._lengths(lengths, x)
        state = self._state(state, x.shape[1], rng)
        prepared, bounds = self._prepare(), self._bounds(x.shape[1])
        labels, weights = loss.check(self._answer_shape(*x.shape[:2]), labels, mask, lengths)
        parts = [None] * len(bounds)

        def task(c):
            first, last = bounds[c]
            y, after, tapes, _ = self._forward_chunk(x, state, lengths, {}, True, prepared, first, last)
            value, dy = loss.weighted(y, part(labels, first, last, y.ndim == 3), part(weights, first, last, y.ndim == 3))
            tape = Tape([tapes], prepared, [(first, last)], lengths, x.shape[1], y.shape)
            parts[c] = (value, self._backward_chunk(tape, 0, dy, {}, {}, False)[0], y, after)

        with self.loops.one_thread():
            threads.run(task, len(bounds), self._work(x.shape[0], x.shape[1]))
        grads = {name: total([p[1][name] for p in parts]) for name in self.params}
        after = {name: join_states([p[3][name] for p in parts]) for name in self.layers}
        return BatchResult(sum(p[0] for p in parts), grads, join([p[2] for p in parts]), after)

    # ---- one chunk

    def _forward_chunk(self, x, state, lengths, record, keep, prepared, first, last):
        """(y, state, tapes, seen) of the samples first ... last - 1."""
        x = x.select(slice(first, last)) if isinstance(x, Spikes) else np.array(x[:, first:last], order="C")
        after, tapes, seen = {}, [], {}
        for (name, layer), ready in zip(self.layers.items(), prepared, strict=True):
            context = Context(self.loops, None if lengths is None else lengths[first:last], keep, record.get(name, ()))
            x, after[name], tape, seen[name] = layer.forward(x, rows(state[name], first, last), ready, context)
            tapes.append(tape)
        if isinstance(x, Spikes):
            x = x.dense(self.dtype)
        return x, after, tapes, seen

    def _backward_chunk(self, tape, c, dy, dstate, dhidden, want_dx):
        """(grads, dstate, dx) of one chunk."""
        first, last = tape.bounds[c]
        grads, before, order = {}, {}, list(zip(self.layers.items(), tape.tapes[c], tape.prepared, strict=True))
        for i, ((name, layer), kept, ready) in reversed(list(enumerate(order))):
            context = Context(self.loops, None if tape.lengths is None else tape.lengths[first:last], True, (), want_dx or i > 0)
            d = dstate.get(name)
            if d is None:
                d = zeros(layer.initial_state(last - first))
            dy, before[name], params = layer.backward(kept, dy, d, dhidden.get(name), ready, context)
            grads |= {f"{name}.{key}": value for key, value in params.items()}
        return grads, before, dy

    def _forward(self, x, state, lengths, record, keep):
        prepared, bounds = self._prepare(), self._bounds(x.shape[1])
        parts = [None] * len(bounds)

        def task(c):
            parts[c] = self._forward_chunk(x, state, lengths, record, keep, prepared, *bounds[c])

        with self.loops.one_thread() if any(layer.uses_blas for layer in self.layers.values()) else nullcontext():
            threads.run(task, len(bounds), self._work(*x.shape[:2]))
        after = {name: join_states([p[1][name] for p in parts]) for name in self.layers}
        seen = {name: {field: np.concatenate([p[3][name][field] for p in parts], 0 if field == "rate" else 1) for field in fields}
                for name, fields in record.items()}
        y = join([p[0] for p in parts])
        return y, after, Tape([p[2] for p in parts], prepared, bounds, lengths, x.shape[1], y.shape) if keep else None, seen

    @staticmethod
    def _shape(shape, layer):
        """The shape (..., N) of what a layer hands out, with N as the layer's pictures."""
        return (*shape[:-1], *layer.shape_out) if layer.shape_out is not None and len(layer.shape_out) > 1 else tuple(shape)

    def _shaped(self, a, layer):
        return a.reshape(self._shape(a.shape, layer))

    def _prepare(self):
        context = Context(self.loops, None)
        return [layer.prepare(context) for layer in self.layers.values()]

    def _bounds(self, batch):
        """Bounds of the chunks of a batch; they depend on the network and the size of the batch only."""
        chunk = batch if not self.loops.CHUNKED else self.chunk or min(CHUNK, max(1, 1024 // self._widest()))
        return [(first, min(first + chunk, batch)) for first in range(0, batch, max(chunk, 1))] or [(0, 0)]

    def _widest(self):
        return max([1] + [layer.size_out or 1 for layer in self.layers.values()])

    def _work(self, steps, batch):
        return steps * batch * sum(layer.size_out or 1 for layer in self.layers.values())

    def _answer_shape(self, steps, batch):
        last = list(self.layers.values())[-1]
        return (steps, batch, last.size_out) if last.answers_each_step else (batch, last.size_out)

    # ---- what comes in at the public door

    def _input(self, x):
        want, shape = size(self.input_shape), x.shape if isinstance(x, Spikes) else np.shape(x)
        if self.input_shape is not None and len(self.input_shape) > 1 and shape[2:] == self.input_shape:
            x = np.reshape(x, (*shape[:2], want))
            shape = x.shape
        if len(shape) != 3:
            if self.input_shape is not None and len(self.input_shape) > 1:
                raise ValueError(f"expected x of shape (T, B, {', '.join(map(str, self.input_shape))}): time, samples, channels, rows, columns; "
                                 f"got shape {shape}")
            raise ValueError(f"expected x of shape (T, B, {want or 'N'}): time, samples, features; got shape {shape}. "
                             + ("One sample (T, N) is x[:, None, :]; one step (B, N) goes to net.step" if len(shape) == 2 else ""))
        if want is not None and shape[2] != want:
            raise ValueError(f"expected x of shape (T, B, {want}) for layer {next(iter(self.layers))}; got shape {shape}")
        if isinstance(x, Spikes):
            return x
        x = np.asarray(x)
        if x.dtype == bool or np.issubdtype(x.dtype, np.integer) and (x.size == 0 or x.min() >= 0):
            return Spikes.from_dense(x)
        if not (np.issubdtype(x.dtype, np.floating) or np.issubdtype(x.dtype, np.integer)):
            raise ValueError(f"expected numbers or Spikes as input; got {x.dtype}")
        if not np.isfinite(x).all():
            t, b, n = np.argwhere(~np.isfinite(x))[0]
            raise ValueError(f"the input is not finite: x[{t}, {b}, {n}] is {x[t, b, n]}; clean the data before the network")
        return x.astype(self.dtype, copy=False)

    def _lengths(self, lengths, x):
        if lengths is None:
            return None
        lengths = np.asarray(lengths)
        if lengths.shape != (x.shape[1],) or not np.issubdtype(lengths.dtype, np.integer):
            raise ValueError(f"lengths: expected {x.shape[1]} integers, one for each sample; got {lengths.dtype} of shape "
                             f"{lengths.shape}")
        if lengths.size and (lengths.min() < 0 or lengths.max() > x.shape[0]):
            raise ValueError(f"lengths must lie in 0 ... T = {x.shape[0]}; got {lengths.min()} ... {lengths.max()}")
        return lengths.astype(np.int64)

    def _state(self, state, batch, rng=None):
        if state is None:
            return self.initial_state(batch, rng)
        template = self.initial_state(0)
        for name, want in template.items():
            have = state.get(name)
            if (want is None) != (have is None):
                raise ValueError(f"state: layer {name} {'has no state' if want is None else 'is missing'}; "
                                 f"pass what run, step or forward returned")
            for field, a in zip(want._fields, have, strict=True) if want is not None else ():
                if a.shape[0] != batch:
                    raise ValueError(f"state[{name!r}].{field} holds {a.shape[0]} samples, but the input {batch}")
        return {name: None if s is None else type(s)(*(np.asarray(a, self.dtype) for a in s)) for name, s in state.items()}

    def _hidden(self, dhidden):
        for name, fields in dhidden.items():
            known = [field for field in self._named(name).recordable() if field != "rate"]
            for field in fields:
                if field not in known:
                    raise ValueError(f"dhidden: layer {name} hands out {', '.join(known) or 'nothing'}; got a gradient of {field!r}")

    def _named(self, name):
        if name not in self.layers:
            raise ValueError(f"no layer {name!r}; there are {', '.join(self.layers)}")
        return self.layers[name]

    def _record(self, record):
        if record is None:
            return None
        if record == "rate":
            record = {name: "rate" for name, layer in self.layers.items() if "rate" in layer.recordable()}
        if not isinstance(record, dict):
            raise TypeError(f'record must be a dict such as {{"alif0": ("v", "spike")}}, or "rate"; got {record!r}')
        record = {name: (fields,) if isinstance(fields, str) else tuple(fields) for name, fields in record.items()}
        for name, fields in record.items():
            known = self._named(name).recordable()
            for field in fields:
                if field not in known:
                    raise ValueError(f"layer {name} cannot record {field!r}; it has {', '.join(known) or 'nothing to record'}")
        return record

    # ---- facts

    @property
    def n_params(self) -> int:
        """Number of learned values."""
        return sum(p.size for p in self.params.values())

    def summary(self, seen: dict | None = None) -> str:
        """A table of layers, sizes and parameters; with `seen` of run(..., record="rate") also rates, dead and saturated neurons."""
        return summary(self, seen)

    def config(self) -> dict:
        """What makes this network again (without its parameters); JSON."""
        return {"layers": [{"layer": type(layer).__name__, **layer.config()} for layer in self.layers.values()],
                "dt": self.dt, "seed": self.seed, "dtype": self.dtype.name, "device": self.device, "chunk": self.chunk,
                "input_shape": self.input_shape}

    @classmethod
    def from_config(cls, config: dict, **changes) -> Network:
        """The network of a `config()`, with newly drawn parameters."""
        config = {**config, **changes}
        layers = [dict(layer) for layer in config.pop("layers")]
        return cls(*(by_name(layer.pop("layer"))(**layer) for layer in layers), **config)

    def clone(self, **changes) -> Network:
        """A copy with the same parameters; `changes` may be dtype, device, chunk."""
        net = Network.from_config(self.config(), **changes)
        for name, layer in self.layers.items():
            for kind in ("params", "fixed"):
                for key, array in getattr(layer, kind).items():
                    getattr(net.layers[name], kind)[key][...] = array
        return net

    def smoothed(self) -> Network:
        """A copy in float64 in which every spike is the smooth twin of its surrogate, for gradient checks."""
        net = self.clone(dtype="float64")
        for layer in net.layers.values():
            if isinstance(layer, Population):
                layer.smoothed()
        return net

    def __repr__(self):
        return "\n".join(["Network(", *(f"    {layer!r}," for layer in self.layers.values()), f"    dt={self.dt:g})"])
