"""`Network`: the public face of a stack or graph of layers.

State is explicit, inference and training are two calls.
"""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .. import devices
from ..checked import MOST, checked, in_range, what_it_is
from ..layers import Block, Layer, by_name
from ..layers.layer import count_of
from . import fused, gradients, memory, stages, stepping
from .assembly import Assembly, put_on_device
from .configuration import made_equal, plain_data
from .door import Door, Grads, Input, Seen, State
from .parameters import Parameters, arrays_of, equal_arrays, put_arrays
from .summary import summary
from .tape import BatchResult, Tape


class Network(Door):
    """Layers, in a stack or a small graph.

    Each layer takes what the one before it hands out; From, Add, Concatenate, Previous and Residual
    (numsnn.layers.joins) name their sources and so make branches, skip connections and feedback from later
    layers.  Layers without feedback between them run whole sequences, one layer after the other; the layers
    of a cycle run in lockstep, one time step of all of them after the other.

    layers: those of the stack, or blocks of them.  dt: time step, in the unit of the layers' time constants.
    seed: of the initial parameters.  dtype: "float32" or "float64".  device: "cpu" (Numba), "reference"
    (NumPy) or "cuda" (an NVIDIA GPU).  input_shape: of one step of one sample, (N,) or (channels, rows,
    columns); where the first layer tells it, it need not be given.  chunk: samples that a thread takes
    through the network together; None chooses by the widest layer.  The forward pass does not depend on it;
    gradients do in their last bits, but not on the number of threads.

    Sequences are (T, B, N): time, batch, features, or (T, B, C, H, W) for pictures; arrays of floats, of
    zeros and ones, of counts, or Spikes, whose units are then numbered (c H + h) W + w; tokens (T, B) where
    the first layer is an Embedding.

    net.layers: the layers by name, a kind and a number unless told otherwise ("alif0").  net.params: all
    learned arrays by name ("alif0.tau_mem"); assigning copies.

    ValueError, naming the layer, where layers do not fit together or the device cannot run one.
    """

    @checked
    def __init__(self, *layers: Layer | Block, dt: float = 1.0, seed: int = 0, dtype: DTypeLike = "float32",
                 device: str = "cpu", chunk: int | None = None,
                 input_shape: tuple[int, ...] | int | None = None):
        self._check_made_of(layers, dt, dtype, chunk, seed)
        self.loops: Any = devices.get(device)
        self.device = device
        self.dt = float(dt)
        self.seed = int(seed)
        self.dtype = np.dtype(dtype)
        self.chunk = None if chunk is None else int(chunk)
        assembly = Assembly(layers, input_shape, seed=seed, dtype=self.dtype, dt=self.dt)
        self.layers: dict[str, Layer] = assembly.layers
        self.graph = assembly.graph
        put_on_device(self.layers, self.loops, device, self.dtype)
        for name, layer in self.layers.items():
            layer.close(name)
        self.params = Parameters(self.layers)
        self._steppers: dict[int, stepping.Stepper | None] = {}

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """The shape of one step of one sample, (N,) or (channels, rows, columns); None where any fits."""
        return self.graph.input_shape

    # ---- inference

    @overload
    def run(self, x: Input, state: State | None = None, *, lengths: ArrayLike | None = None,
            record: None = None) -> tuple[np.ndarray, State]: ...

    @overload
    def run(self, x: Input, state: State | None = None, *, lengths: ArrayLike | None = None,
            record: dict | str) -> tuple[np.ndarray, State, Seen]: ...

    @checked
    def run(self, x, state=None, *, lengths=None, record=None):
        """Inference: (y, state), or (y, state, seen) with `record`.  Changes nothing, keeps no tape, draws
        nothing.

        x: (T, B, N).  state: what an earlier run returned, None for the initial state; where training draws
        that at random, net.initial_state(B, rng) is one drawn alike.  lengths: (B,) valid steps of each
        sample.  record: {"alif0": ("v", "spike", "theta")}; seen["alif0"]["v"] is then (T, B, N).  The field
        "rate" is the mean number of spikes per step of each neuron, (B, N); record="rate" asks for it of all
        spiking populations; "y" is what a layer of any kind hands out.
        """
        x = self.loops.put(self._input(x))
        fields = self._record(record)
        state, lengths = self._state(state, x.shape[1]), self._lengths(lengths, x)
        y, state, _, seen = stages.forward(self, x, state, lengths, fields or {}, False)
        y = self._shaped(np.asarray(y), self._last)
        if record is None:
            return y, state
        for name, found in seen.items():
            seen[name] = {field: self._shaped(np.asarray(a), self.layers[name]) for field, a in found.items()}
        return y, state, seen

    @checked
    def step(self, x: Input, state: State | None = None) -> tuple[np.ndarray, State]:
        """One time step of inference, (y, state): x is (B, N).  The same bits as `run` over the whole
        sequence.

        A stack of Dense, Delay, populations and OverTime takes the step in one compiled call; other networks
        take it layer by layer, and so does a step of Spikes or of so many samples that threads pay.
        """
        done = stepping.stepped(self, x, state)
        if done is not None:
            return self._shaped(done[0], self._last), done[1]
        self.require_causal("run step by step")
        y, state = self.run(self._one_step(x), state)
        return (y[-1] if self._last.answers_each_step else y), state

    def require_causal(self, what: str) -> None:
        """Raise a ValueError where a layer must see the whole sequence, and the network cannot do `what`."""
        late = next((name for name, layer in self.layers.items() if not layer.causal), None)
        if late is not None:
            raise ValueError(f"this network cannot {what}: layer {late} needs the whole sequence")

    @checked
    def initial_state(self, batch: int, rng: np.random.Generator | None = None) -> State:
        """The state in which a sequence begins; without rng nothing random is in it."""
        count_of(batch, "initial_state: batch")
        if rng is not None and not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be a generator, np.random.default_rng(0), or None; got {rng!r}")
        in_range(0, MOST, batch=batch)
        streams = [None] * len(self.layers) if rng is None else rng.spawn(len(self.layers))
        return {name: layer.initial_state(batch, stream)
                for (name, layer), stream in zip(self.layers.items(), streams, strict=True)}

    # ---- training

    @checked
    def forward(self, x: Input, state: State | None = None, *, rng: np.random.Generator | None = None,
                lengths: ArrayLike | None = None) -> tuple[np.ndarray, State, Tape]:
        """Training: (y, state, tape).  x must stay as it is until `backward`.

        rng: random initial states are drawn from it, where state is None.
        """
        sequence = self.loops.put(self._input(x))
        del x       # frees it where nobody else holds it
        state = self._state(state, sequence.shape[1], rng)
        lengths = self._lengths(lengths, sequence)
        y, state, tape, _ = stages.forward(self, sequence, state, lengths, {}, True)
        return self._shaped(np.asarray(y), self._last), state, tape

    @overload
    def backward(self, tape: Tape, dy: ArrayLike, dstate: State | None = None, dhidden: dict | None = None, *,
                 want_dx: Literal[False] = False) -> tuple[Grads, State]: ...

    @overload
    def backward(self, tape: Tape, dy: ArrayLike, dstate: State | None = None, dhidden: dict | None = None, *,
                 want_dx: Literal[True]) -> tuple[Grads, State, np.ndarray]: ...

    @checked
    def backward(self, tape, dy, dstate=None, dhidden=None, *, want_dx=False):
        """Backpropagation through time: (grads, dstate), or (grads, dstate, dx) with want_dx.

        dy: gradient of the loss with respect to y.  dstate: with respect to the final state (a dict as
        `forward` returns it; None: zero); comes back with respect to the initial state.  dhidden: {"alif0":
        {"spike": (T, B, N)}}, gradients with respect to what hidden populations hand out, for regularisers;
        "rate": (B, N) is that of the mean number of spikes per valid step.  grads has the keys of net.params.
        """
        tape = self._tape(tape)
        if not isinstance(want_dx, (bool, np.bool_)):
            raise TypeError(f"backward: want_dx must be True or False; got {what_it_is(want_dx)}")
        dy, hidden = self._answers_gradient(dy, tape.shape), self._hidden(dhidden, tape.steps, tape.batch)
        dstate = self._dstate(dstate, tape.batch)
        grads, dstate, dx = stages.backward(self, tape, dy, dstate, hidden, want_dx)
        _, grads, _ = self.loops.arrived(0.0, grads)
        return (grads, dstate, np.asarray(dx)) if want_dx else (grads, dstate)

    @checked
    def loss_and_gradients(self, loss: Any, x: Input, labels: ArrayLike, *, mask: ArrayLike | None = None,
                           lengths: ArrayLike | None = None, state: State | None = None,
                           rng: np.random.Generator | None = None, regularisers: tuple = (),
                           checkpoint_every: int | None = None, chunk: int | None = None) -> BatchResult:
        """(loss, grads, y, state) of a batch: forward, loss and backward in one go, chunk by chunk.

        The same numbers as forward, loss(y, labels, mask, lengths) and backward, except that a chunk's tape
        lives only while the chunk does: memory grows with the number of threads, not with the batch.  That is
        not possible, and is not done, where a layer needs the whole batch at once (BatchNorm) or a
        regulariser (numsnn.regularise) the rates of the whole batch.

        checkpoint_every: keep the state after every so many steps only, and compute what lies between once
        more: the tape is of so many steps instead of all, a step takes a forward pass longer, and gradients
        are the same up to the order of their sums.  chunk: samples that go through together, in place of the
        network's own; on a GPU, where None is the whole batch, fewer take less memory.
        """
        return gradients.loss_and_gradients(
            self, loss, x, labels, mask=mask, lengths=lengths, state=state, rng=rng,
            regularisers=regularisers, checkpoint_every=checkpoint_every, chunk=chunk)

    def sent(self, x: Input) -> Any:
        """A batch on its way to the device, which may be at work; every function takes it in place of x."""
        return self.loops.send(self._input(x))

    # ---- facts

    @checked
    def memory(self, steps: int, batch: int, *, rate: float | None = None,
               checkpoint_every: int | None = None) -> memory.Memory:
        """Bytes of arrays that a training step of so many time steps and samples holds at most, without its
        input.

        rate: spikes per input and step where the input is Spikes; None: values.  checkpoint_every: as in
        loss_and_gradients.  Small steps of a copy are measured, which takes some milliseconds once the loops
        are compiled; it is within a tenth of what is measured in full.
        """
        return memory.predict(self, steps, batch, rate, fused.check(self, checkpoint_every))

    @property
    def n_params(self) -> int:
        """Number of learned values."""
        return sum(p.size for p in self.params.values())

    @checked
    def summary(self, seen: Seen | None = None) -> str:
        """A table of layers, sizes, parameters.

        With `seen` of run(..., record="rate") also of spike rates.
        """
        return summary(self, seen)

    def config(self) -> dict[str, Any]:
        """What makes this network again (without its parameters): dicts, lists, numbers and text, as JSON
        has them.
        """
        layers = [{"layer": type(layer).__name__, **layer.config()} for layer in self.layers.values()]
        return plain_data({"layers": layers, "dt": self.dt, "seed": self.seed, "dtype": self.dtype.name,
                           "device": self.device, "chunk": self.chunk, "input_shape": self.input_shape})

    @classmethod
    @checked
    def from_config(cls, config: dict[str, Any], **changes: Any) -> Network:
        """The network of a `config()`, with newly drawn parameters."""
        return cls._of(config, changes)

    @classmethod
    def _of(cls, config, changes, further=()):
        """The network of a configuration, with further layers behind its own."""
        config = {**config, **changes}
        layers = config.pop("layers", None)
        is_list = isinstance(layers, (list, tuple))
        if not is_list or not all(isinstance(layer, dict) and "layer" in layer for layer in layers):
            raise ValueError(f"a network's config() holds layers, a list of dicts that name their kind under "
                             f"'layer'; got {what_it_is(layers)}")
        layers = [dict(layer) for layer in layers]
        return cls(*(by_name(layer.pop("layer")).from_config(layer) for layer in layers), *further, **config)

    @checked
    def extended(self, *layers: Layer | Block) -> Network:
        """A copy with further layers behind its own, such as net.extended(ns.OverTime("mean")).

        Its own parameters are copied; those of the further layers are drawn.
        """
        net = Network._of(self.config(), {}, layers)
        net.restore(self.arrays())
        return net

    def __getstate__(self) -> dict[str, Any]:
        """All but the functions of the device and compiled steps, which a copy finds and makes again."""
        return {**self.__dict__, "loops": None, "_steppers": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.loops = devices.get(self.device)

    def same_as(self, other: Network) -> bool:
        """Whether both compute the same: equal layers, settings, dt, dtype, and equal arrays bit for bit.

        The device, the size of chunks and the seed may differ.  (`==` asks whether they are one object.)
        """
        return made_equal(self.config(), other.config()) and equal_arrays(self.arrays(), other.arrays())

    def to(self, device: str | None = None, dtype: DTypeLike | None = None) -> Network:
        """A copy on another device, of another precision, or both; this network stays as and where it is.

        device: "cpu", "reference" or "cuda".  None: that of this network.
        """
        return self.clone(device=device or self.device, dtype=dtype or self.dtype.name)

    @checked
    def clone(self, **changes: Any) -> Network:
        """A copy with the same parameters; `changes` may be dtype, device, chunk."""
        net = Network.from_config(self.config(), **changes)
        net.restore(self.arrays())
        return net

    def arrays(self) -> dict[str, np.ndarray]:
        """Copies of all arrays that a training changes, learned ones and running statistics, by name."""
        return arrays_of(self.layers)

    @checked
    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the values of `arrays()`, or of some of them."""
        put_arrays(self.layers, arrays)

    def round_delays(self) -> int:
        """Make all real delays of its layers whole steps, each the nearest, halves the even one.

        What a training has learned is then handed on without being spread over two steps: Spikes stay Spikes,
        and an exported program can hold it.  In place; the number of delays that were not whole before.
        """
        return sum(layer.round_delays() for layer in self.layers.values())

    def smoothed(self) -> Network:
        """A copy in float64 in which every spike is the smooth twin of its surrogate, for gradient checks."""
        net = self.clone(dtype="float64")
        for layer in net.layers.values():
            layer.smoothed()
        return net

    def __repr__(self) -> str:
        layers = [f"    {layer!r}," for layer in self.layers.values()]
        return "\n".join(["Network(", *layers, f"    dt={self.dt:g})"])
