"""`Network`: layers in a stack or a graph, with explicit state, inference and training as two calls, and the backward pass through time."""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple

import numpy as np

from .. import devices
from ..devices import threads
from ..layers import Block, Layer, Population, by_name
from ..layers.joins import INPUT
from ..layers.layer import Context, positive_integer, size
from ..signals.spikes import Spikes
from . import fused, memory, passes
from .chunks import join, join_states, part, place, rows, samples, total, zeros
from .door import Door
from .graph import Graph
from .parameters import Parameters
from .stepping import Stepper, stepped
from .summary import summary

CHUNK = 8, 16       # samples that one thread takes through the network together, at most: of few, of many samples
NEURONS = 128       # in the widest layer; fewer samples where it has more, unless ...
WEIGHTS = 1 << 19   # ... a matrix of more bytes than that is read for each chunk and step: the more samples share it, the better


class Tape(NamedTuple):
    """What `forward` keeps for `backward`."""
    stages: list        # by stage: (bounds of the chunks, tapes by chunk)
    prepared: dict      # by layer
    lengths: np.ndarray | None
    batch: int
    shape: tuple        # of the answer


class BatchResult(NamedTuple):
    """What `loss_and_gradients` gives."""
    loss: float
    grads: dict         # by names of net.params
    y: np.ndarray       # the network's answer
    state: dict         # after the last step


class Network(Door):
    """Layers, in a stack or a small graph.

    Each layer takes what the one before it hands out; From, Add, Concatenate, Previous and Residual (numsnn.layers.joins) name their sources
    and so make branches, skip connections and feedback from later layers.  Layers without feedback between them run whole sequences, one
    layer after the other; the layers of a cycle run in lockstep, one time step of all of them after the other.

    dt: time step, in the unit of the layers' time constants.  seed: of the initial parameters.  dtype: "float32" or "float64".
    device: "cpu" (Numba), "reference" (NumPy) or "cuda" (an NVIDIA GPU).  input_shape: of one step of one sample, (N,) or (channels, rows, columns); where the first
    layer tells it, it need not be given.  chunk: samples that a thread takes through the network together; None chooses by
    the widest layer.  The forward pass does not depend on it; gradients do in their last bits, but not on the number of threads.

    Sequences are (T, B, N): time, batch, features, or (T, B, C, H, W) for pictures; arrays of floats, of zeros and ones, of counts, or
    Spikes, whose units are then numbered (c H + h) W + w; tokens (T, B) where the first layer is an Embedding.
    """

    def __init__(self, *layers: Layer | Block, dt: float = 1.0, seed: int = 0, dtype="float32", device: str = "cpu",
                 chunk: int | None = None, input_shape: tuple | int | None = None):
        wrong = [layer for layer in layers if not isinstance(layer, (Layer, Block))]
        if wrong or not layers:
            raise ValueError(f"a network is made of layers, Network(ns.Dense(4, 36), ns.ALIF(36), ...); got {wrong[0] if wrong else None!r}")
        if not dt > 0 or not np.isfinite(dt):
            raise ValueError(f"dt must be a positive number; got {dt!r}")
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64; got {dtype!r}")
        if chunk is not None and (not isinstance(chunk, int) or chunk < 1):
            raise ValueError(f"chunk must be a positive number of samples, or None; got {chunk!r}")
        self.loops, self.device = devices.get(device), device
        self.dt, self.seed, self.dtype, self.chunk = float(dt), seed, np.dtype(dtype), chunk
        self.layers: dict[str, Layer] = {}
        self._graph = Graph(None if input_shape is None else tuple(positive_integer(n, "input_shape") for n in np.atleast_1d(input_shape)))
        for layer in layers:
            self._name(layer)
        if self._graph.input_shape is None:
            self._graph.input_shape = self._told()
        for layer in self.layers.values():
            self._connect(layer)
        self._graph.close()
        self._place()
        self._steppers: dict[int, Stepper | None] = {}
        self.params = Parameters(self.layers)

    def _name(self, layer):
        """Take a layer into the list; its name."""
        if isinstance(layer, Block):
            layer.layers_after(next(reversed(self.layers), INPUT), self._name, self._free)
            return next(reversed(self.layers))
        if hasattr(layer, "size_out"):
            raise ValueError(f"layer {layer.name or layer!r} is part of a network already; make a new one for each place")
        if layer.name is None:
            layer.name = self._free(layer.kind)
        if layer.name in self.layers or layer.name == INPUT:
            raise ValueError(f"two layers are named {layer.name!r}; names must differ" if layer.name in self.layers else
                             f"a layer cannot be named {INPUT!r}, which stands for what the network is given")
        self.layers[layer.name] = layer
        return layer.name

    def _told(self):
        """The shape of the input as the first layer that knows it says."""
        for layer in self.layers.values():
            if hasattr(layer, "n_in"):
                return (layer.n_in,)
            if not layer.keeps_shape:
                return None
        return None

    def _free(self, kind):
        """A name of this kind that no layer has."""
        return next(name for name in (f"{kind}{i}" for i in range(len(self.layers) + 1)) if name not in self.layers)

    def _connect(self, layer):
        """Connect a layer to its sources, and draw its parameters."""
        number, graph = len(self._graph.nodes), self._graph
        graph.add(layer)
        later = {name: layer.declared_shape() for name, layer in self.layers.items() if name not in graph.nodes}
        if layer.delayed and layer.like is not None:
            name, channels = layer.like
            layer.shape = (channels, *(graph.shape(name) or layer.refuse(f"the shape of {name} is not known here"))[1:])
        layer.shape_out = layer.connect(*(later.get(source) or graph.shape(source) for source in graph.nodes[layer.name].sources))
        if number == 0 and graph.input_shape is None:
            graph.input_shape = layer.shape_out
        layer.size_out = size(layer.shape_out)
        layer.build(np.random.default_rng([self.seed, number]), self.dtype, self.dt)

    def _place(self):
        """Put the parameters where the device works; refuse layers that it does not know."""
        for name, layer in self.layers.items() if not self.loops.HOST else ():
            why = self.loops.refusal(layer.dynamics(), layer.n, self.dtype) if isinstance(layer, Population) else ""
            if why or layer.needs is None or not all(hasattr(self.loops, function) for function in layer.needs):
                raise ValueError(f"device={self.device!r} cannot run layer {name}, {layer.describe()}{why and ': '}{why}; use device=\"cpu\"")
            layer.params = {key: a if key in layer.settings_of_host else self.loops.put(a) for key, a in layer.params.items()}

    @property
    def input_shape(self) -> tuple | None:
        """The shape of one step of one sample, (N,) or (channels, rows, columns); None where any fits."""
        return self._graph.input_shape

    # ---- inference

    def run(self, x, state: dict | None = None, *, lengths=None, record: dict | str | None = None):
        """Inference: (y, state), or (y, state, seen) with `record`.  Changes nothing, keeps no tape, draws no random numbers.

        x: (T, B, N).  state: what an earlier run returned, None for the initial state.  lengths: (B,) valid steps of each sample.
        record: {"alif0": ("v", "spike", "theta")}; seen["alif0"]["v"] is then (T, B, N).  The field "rate" is the mean number of
        spikes per step of each neuron, (B, N); record="rate" asks for it of all spiking populations; "y" is what a layer of any kind hands out.
        """
        x = self.loops.put(self._input(x))
        record = self._record(record)
        y, state, _, seen = self._forward(x, self._state(state, x.shape[1]), self._lengths(lengths, x), record or {}, False)
        y = self._shaped(np.asarray(y), self._last)
        seen = {name: {field: self._shaped(np.asarray(a), self.layers[name]) for field, a in fields.items()} for name, fields in seen.items()}
        return (y, state) if record is None else (y, state, seen)

    def step(self, x, state: dict | None = None):
        """One time step of inference, (y, state): x is (B, N).  The same bits as `run` over the whole sequence.

        A stack of Dense, populations and OverTime takes the step in one compiled call; other networks take it layer by layer, and so does a
        step of Spikes or of so many samples that threads pay.
        """
        done = stepped(self, x, state)
        if done is not None:
            return self._shaped(done[0], self._last), done[1]
        self.require_causal("run step by step")
        if not isinstance(x, Spikes):
            x = np.asarray(x)
            if next(iter(self.layers.values())).reads_tokens and x.ndim == 1:
                x = x[:, None]
            if self.input_shape is not None and len(self.input_shape) > 1 and x.shape[1:] == self.input_shape:
                x = x.reshape(len(x), -1)
            if x.ndim != 2:
                raise ValueError(f"step takes one time step, x (B, N); got shape {x.shape}. For one sample use x[None]; "
                                 f"for a sequence (T, B, N) use run")
            x = x[None]
        y, state = self.run(x, state)
        return (y[-1] if self._last.answers_each_step else y), state

    def require_causal(self, what: str) -> None:
        """Raise a ValueError where a layer must see the whole sequence, so that the network cannot do `what`."""
        late = next((name for name, layer in self.layers.items() if not layer.causal), None)
        if late is not None:
            raise ValueError(f"this network cannot {what}: layer {late} needs the whole sequence")

    def initial_state(self, batch: int, rng: np.random.Generator | None = None) -> dict:
        """The state in which a sequence begins; without rng nothing random is in it."""
        streams = [None] * len(self.layers) if rng is None else rng.spawn(len(self.layers))
        return {name: layer.initial_state(batch, stream) for (name, layer), stream in zip(self.layers.items(), streams, strict=True)}

    # ---- training

    def forward(self, x, state: dict | None = None, *, rng: np.random.Generator | None = None, lengths=None):
        """Training: (y, state, tape).  Random initial states are drawn from rng (where state is None).  x must stay as it is until `backward`."""
        x = self.loops.put(self._input(x))
        state = self._state(state, x.shape[1], rng)
        y, state, tape, _ = self._forward(x, state, self._lengths(lengths, x), {}, True)
        return self._shaped(np.asarray(y), self._last), state, tape

    def backward(self, tape: Tape, dy, dstate: dict | None = None, dhidden: dict | None = None, *, want_dx: bool = False):
        """Backpropagation through time: (grads, dstate), or (grads, dstate, dx) with want_dx.

        dy: gradient of the loss with respect to y.  dstate: with respect to the final state (a dict as `forward` returns it; None:
        zero); comes back with respect to the initial state.  dhidden: {"alif0": {"spike": (T, B, N)}}, gradients with respect to what
        hidden populations hand out, for regularisers; "rate": (B, N) is that of the mean number of spikes per valid step.
        grads has the keys of net.params.
        """
        dy = np.ascontiguousarray(dy, self.dtype)
        if dy.shape == self._shape(tape.shape, self._last):
            dy = dy.reshape(tape.shape)
        if dy.shape != tape.shape:
            raise ValueError(f"dy is the gradient of the answer and must have its shape {tape.shape}; got {dy.shape}")
        grads, dstate, dx = self._backward(tape, dy, dstate or {}, self._hidden(dhidden or {}), want_dx)
        return (grads, dstate, np.asarray(dx)) if want_dx else (grads, dstate)

    def loss_and_gradients(self, loss, x, labels, *, mask=None, lengths=None, state: dict | None = None,
                           rng: np.random.Generator | None = None, regularisers: tuple = (), checkpoint_every: int | None = None,
                           chunk: int | None = None) -> BatchResult:
        """(loss, grads, y, state) of a batch: forward, loss and backward in one go, chunk by chunk.

        The same numbers as forward, loss(y, labels, mask, lengths) and backward, except that a chunk's tape lives only while the
        chunk does: memory grows with the number of threads, not with the batch.  That is not possible, and is not done, where a layer needs the
        whole batch at once (BatchNorm) or a regulariser (numsnn.regularise) the rates of the whole batch.

        checkpoint_every: keep the state after every so many steps only, and compute what lies between once more: the tape is of so many steps
        instead of all, a step takes a forward pass longer, and gradients are the same up to the order of their sums.
        chunk: samples that go through together, in place of the network's own; on a GPU, where None is the whole batch, fewer take less memory.
        """
        x, every = self._input(x), fused.check(self, checkpoint_every)
        if chunk is not None:
            positive_integer(chunk, "chunk")
        if every and regularisers:
            raise ValueError("checkpoint_every does not go with regularisers, which need the rates of the whole batch before the backward pass")
        lengths, batch = self._lengths(lengths, x), x.shape[1]
        state = self._state(state, batch, rng)
        answer = self._answer_shape(*x.shape[:2])
        labels, weights = loss.check(answer, labels, mask, lengths if lengths is None else self._graph.nodes[self._graph.answer].steps(lengths))
        record = {name: ("rate",) for r in regularisers for name in r.layers(self)}
        stages = self._graph.stages(True)
        whole = len(stages) > 1 or bool(regularisers)
        if chunk is not None and whole:
            raise ValueError("chunk cannot be given to loss_and_gradients where a layer or a regulariser needs the whole batch; Network(..., chunk=) goes with both")
        if not whole:
            result = BatchResult(*fused.fused(self, stages[0], loss, x, labels, weights, lengths, state, every, chunk or (None if self.loops.HOST else self.chunk)))
        else:
            y, after, tape, seen = self._forward(self.loops.put(x), state, lengths, self._record(record), True)
            value, dy = loss.weighted(y, labels, weights)
            penalties = [r(self, {name: seen[name]["rate"] for name in r.layers(self)}) for r in regularisers]
            dhidden = {}
            for name, d in (pair for p in penalties for pair in p.drates.items()):
                dhidden[name] = {"rate": dhidden[name]["rate"] + d if name in dhidden else d}
            grads, _, _ = self._backward(tape, dy, {}, self._hidden(dhidden), False)
            for name, d in (pair for p in penalties for pair in p.grads.items()):
                grads[name] = grads[name] + d
            result = BatchResult(value + sum(p.value for p in penalties), grads, y, after)
        return result

    # ---- passes: stage by stage, within a stage chunk by chunk

    def _forward(self, x, state, lengths, record, keep):
        """(y, state, tape or None, seen)."""
        prepared, values, after, seen, kept = self._prepare(), {INPUT: x}, {}, {}, []

        def stage_forward(stage):
            bounds = self._bounds(x.shape[1], stage)
            parts = [None] * len(bounds)
            whole = self._whole(values[stage.inputs[0]].shape, stage.components[0].names[0], len(bounds)) if stage.alone else None

            def task(c):
                first, last = bounds[c]
                given = {name: samples(values[name], first, last, name in stage.borrowed) for name in stage.inputs}
                setting = self._setting(prepared, lengths, first, last, keep, record, into=None if whole is None else whole[:, first:last])
                parts[c] = passes.forward(stage, given, self._rows(state, first, last), setting)

            with self.loops.one_thread() if self._uses_blas(stage) else nullcontext():
                threads.run(task, len(bounds), self._work(*x.shape[:2]))
            kept.append((bounds, [p.tapes for p in parts]))
            return parts, whole

        for stage in self._graph.stages(keep):
            parts, whole = stage_forward(stage)
            values |= {name: join([p.values[name] for p in parts], whole) for name in stage.outputs}
            after |= {name: join_states([p.state[name] for p in parts]) for name in parts[0].state}
            seen |= {name: {field: np.concatenate([p.seen[name][field] for p in parts], 0) if field == "rate" else
                            join([p.seen[name][field] for p in parts]) for field in fields} for name, fields in parts[0].seen.items()}
        y = self._answer(values)
        return y, {name: after[name] for name in self.layers}, Tape(kept, prepared, lengths, x.shape[1], y.shape) if keep else None, seen

    def _backward(self, tape, dy, dstate, dhidden, want_dx):
        """(grads, dstate, dx or None)."""
        back, grads, before = {self._graph.answer: dy}, {}, {}
        work = self._work(dy.shape[0] if dy.ndim == 3 else 1, tape.batch) * 100

        def stage_backward(stage, bounds, tapes):
            parts, views = [None] * len(bounds), stage.alone and len(bounds) > 1
            taken = want_dx or stage.inputs[0] != INPUT
            whole = self._whole(back[stage.outputs[0]].shape, stage.inputs[0], len(bounds)) if stage.alone and taken else None

            def task(c):
                first, last = bounds[c]
                dvalues = {name: back[name][:, first:last] if views else part(back[name], first, last) for name in stage.outputs if name in back}
                mine = self._no_gradient(last - first) | {name: rows(s, first, last) for name, s in dstate.items() if s is not None}
                hidden = {name: {field: np.ascontiguousarray(a[first:last] if field == "rate" else a[:, first:last], self.dtype)
                                 for field, a in fields.items()} for name, fields in dhidden.items()}
                setting = self._setting(tape.prepared, tape.lengths, first, last, True, {}, want_dx, None if whole is None else whole[:, first:last])
                parts[c] = passes.backward(stage, tapes[c], dvalues, mine, hidden, setting)

            with self.loops.one_thread():
                threads.run(task, len(bounds), work)
            return parts, whole

        for stage, (bounds, tapes) in reversed(list(zip(self._graph.stages(True), tape.stages, strict=True))):
            parts, whole = stage_backward(stage, bounds, tapes)
            for name in stage.outputs:
                back.pop(name, None)
            for name, d in {name: join([p[0][name] for p in parts], whole) for name in parts[0][0]}.items():
                back[name] = back[name] + d if name in back else d
            grads |= self._sum([p[1] for p in parts])
            before |= {name: join_states([p[2][name] for p in parts]) for name in parts[0][2]}
        return {name: grads[name] for name in self.params}, {name: before[name] for name in self.layers}, back.get(INPUT)

    def _whole(self, shape, name, n_chunks):
        """Where the chunks of a stage of one layer put what is of the size of `name`; shape: of a sequence on its other side."""
        shape_there = self._graph.shape(name)
        return place((*shape[:2], shape[2] if shape_there is None else size(shape_there)), self.dtype, n_chunks)

    def _setting(self, prepared, lengths, first, last, tape, record=None, want_dx=False, into=None):
        lengths = None if lengths is None else lengths[first:last]
        return passes.Setting(self._graph, prepared, self.loops, self.dtype, lengths, tape, record or {}, want_dx, into)

    def sent(self, x):
        """A batch on its way to the device, which may be at work; every function takes it in place of x."""
        return self.loops.send(self._input(x))

    def _sent(self, x, first, last):
        """(array, first, last): where samples of a batch lie once they are on the device."""
        return (x, first, last) if self.loops.HOST else (self.loops.put(x if last - first == x.shape[1] else samples(x, first, last)), 0, last - first)

    def _rows(self, state, first, last):
        return {name: rows(s, first, last) for name, s in state.items()}

    def _no_gradient(self, batch):
        return {name: zeros(layer.initial_state(batch), self.loops.zeros) for name, layer in self.layers.items()}

    def _sum(self, parts):
        """The gradients of all chunks, added in their order."""
        return {name: total([p[name] for p in parts]) for name in parts[0]}

    def _answer(self, values):
        y = values[self._graph.answer]
        return y.dense(self.dtype) if isinstance(y, Spikes) else y

    def _uses_blas(self, stage):
        return any(self.layers[name].uses_blas for component in stage.components for name in component.names)

    @property
    def _last(self):
        return self.layers[self._graph.answer]

    @staticmethod
    def _shape(shape, layer):
        """The shape (..., N) of what a layer hands out, with N as the layer's pictures."""
        return (*shape[:-1], *layer.shape_out) if layer.shape_out is not None and len(layer.shape_out) > 1 else tuple(shape)

    def _shaped(self, a, layer):
        return a.reshape(self._shape(a.shape, layer))

    def _prepare(self):
        context = Context(self.loops, None)
        return {name: layer.prepare(context) for name, layer in self.layers.items()}

    def _bounds(self, batch, stage, chunk=None):
        """Bounds of the chunks of a batch; they depend on the network and the size of the batch only, and on `chunk`, where it is given."""
        chunk = batch if stage.whole else chunk or (self.chunk or self._chunk(batch) if self.loops.CHUNKED else batch)
        return [(first, min(first + chunk, batch)) for first in range(0, batch, max(chunk, 1))] or [(0, 0)]

    def _chunk(self, batch):
        """Samples in a chunk: as many as stay in the cache, but some more where a few more do not matter and calls would weigh.  Four chunks or more
        keep as many threads busy."""
        widest, most = max([1] + [layer.size_out or 1 for layer in self.layers.values()]), min(max(batch // 4, CHUNK[0]), CHUNK[1])
        if widest <= 1 << 12 and max((p.nbytes for p in self.params.values()), default=0) > WEIGHTS:
            return most
        return min(most, max(NEURONS * most // widest, min(4, batch // 8) if widest <= 1 << 16 else 1, 1))

    def _work(self, steps, batch):
        """Elementary updates on the host, which decide whether threads are worth waking."""
        return 0 if not self.loops.CHUNKED else steps * batch * sum(layer.size_out or 1 for layer in self.layers.values())

    def _answer_shape(self, steps, batch):
        last = self._last
        return (self._graph.nodes[self._graph.answer].steps(steps), batch, last.size_out) if last.answers_each_step else (batch, last.size_out)

    # ---- facts

    def memory(self, steps: int, batch: int, *, rate: float | None = None, checkpoint_every: int | None = None) -> memory.Memory:
        """Bytes of arrays that a training step (`loss_and_gradients`) of so many time steps and samples holds at most, its input not counted.

        rate: spikes per input and step where the input is Spikes; None: values.  checkpoint_every: as in loss_and_gradients.  Small steps of
        a copy are measured, which takes some milliseconds once the loops are compiled; it is within a tenth of what is measured in full.
        """
        return memory.predict(self, steps, batch, rate, fused.check(self, checkpoint_every))

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
        return cls(*(by_name(layer.pop("layer")).from_config(layer) for layer in layers), **config)

    def clone(self, **changes) -> Network:
        """A copy with the same parameters; `changes` may be dtype, device, chunk."""
        net = Network.from_config(self.config(), **changes)
        net.restore(self.arrays())
        return net

    def arrays(self) -> dict[str, np.ndarray]:
        """Copies of all arrays that a training changes, learned ones and running statistics, by name."""
        return {f"{name}.{key}": np.array(a) for name, layer in self.layers.items() for kind in (layer.params, layer.fixed) for key, a in kind.items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the values of `arrays()`, or of some of them."""
        for name, a in arrays.items():
            layer, _, key = name.rpartition(".")
            if layer not in self.layers or key not in self.layers[layer].params | self.layers[layer].fixed:
                raise ValueError(f"no array {name!r} in this network")
            own = self.layers[layer].params if key in self.layers[layer].params else self.layers[layer].fixed
            if np.shape(a) != own[key].shape:
                raise ValueError(f"{name} has shape {own[key].shape}; got shape {np.shape(a)}")
            own[key][...] = a

    def smoothed(self) -> Network:
        """A copy in float64 in which every spike is the smooth twin of its surrogate, for gradient checks."""
        net = self.clone(dtype="float64")
        for layer in net.layers.values():
            layer.smoothed()
        return net

    def __repr__(self):
        return "\n".join(["Network(", *(f"    {layer!r}," for layer in self.layers.values()), f"    dt={self.dt:g})"])
