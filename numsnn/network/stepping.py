"""`net.step` of a stack in one compiled call: tables by batch size, and a state that is one vector."""

from __future__ import annotations

from operator import is_

import numpy as np

from ..layers.layer import size

MASKED = np.ma.MaskedArray
NOTHING = type(None)
MOST = 100_000      # values of a step up to which one thread is as fast as several


class StepState(dict):
    """What `net.step` returned: a state as any other, of which the next step needs no copies.

    Its arrays are views of one vector.
    """

    vector: np.ndarray      # all of it
    made: tuple             # by layer; another object in its place is not in the vector
    views: list             # where what lies in the vector

    def intact(self) -> bool:
        """Whether the vector still tells it all."""
        return len(self) == len(self.made) and all(map(is_, self.values(), self.made))

    def __reduce__(self):
        return dict, (dict(self),)      # the arrays of a copy are no views of a vector


class Stepper:
    """The compiled step of one network for one batch size.

    Parameters are read where they lie; a copy of a network makes its own.
    """

    def __init__(self, net, layers, batch):
        self.net, self.batch, self.dtype = net, batch, net.dtype
        self.table = net.loops.StepTable([layer for _, layer in layers], batch, net.dtype)
        self.n_in, self.n_out = size(net.input_shape), layers[-1][1].n_out
        self.views = []                 # by layer: name, kind of its state, places and shapes of its fields
        names = (name for name, _ in layers)
        begins = dict(zip(names, self.table.states, strict=True))
        for name, state in net.initial_state(batch).items():
            place, fields = begins.get(name), []
            for a in state or ():
                fields.append((slice(place, place + a.size), a.shape))
                place += a.size
            self.views.append((name, type(state), fields))

    @classmethod
    def of(cls, net, batch: int) -> Stepper | None:
        """The stepper of a network; None where a layer has no compiled step, or threads would be faster."""
        if not net.loops.STEPS or net.input_shape is None:
            return None
        if batch * sum(layer.size_out or 1 for layer in net.layers.values()) > MOST:
            return None
        layers, before = [], None
        for name, layer in net.layers.items():
            follows = before is None or net.graph.nodes[name].sources == (before,)
            step = layer.step(net.loops) if layer.sources is None and follows else None
            if step is None:
                return None
            if step:
                layers.append((name, step))
            before = name
        return cls(net, layers, batch) if layers else None

    def __reduce__(self):
        return _nothing, ()     # it holds addresses

    def vector(self, state) -> np.ndarray:
        """A state in one piece."""
        if self._made(state):
            return state.vector
        parts = [np.zeros(0, self.dtype)]
        for of_layer in self.net._state(state, self.batch).values():
            parts += [np.ravel(a) for a in of_layer or ()]
        return np.concatenate(parts)

    def _made(self, state) -> bool:
        """Whether a state is one of ours, and untouched."""
        if type(state) is not StepState or not state.intact() or state.vector.dtype != self.dtype:
            return False
        return state.views is self.views or state.views == self.views

    def __call__(self, x, state):
        """(y, state); None where the parameters have changed since this was made, or a number is none."""
        after = self.table(np.ascontiguousarray(x, self.dtype), self.vector(state))
        if after is None:
            return None
        new = StepState()
        for name, kind, fields in self.views:
            new[name] = None if kind is NOTHING else kind(*[after[p].reshape(shape) for p, shape in fields])
        new.vector, new.made, new.views = after, tuple(new.values()), self.views
        return after[self.table.answer].reshape(self.batch, self.n_out), new


def stepped(net, x, state):
    """(y, state) of one step by a compiled call; None where there is none, or x is not what it takes."""
    if not isinstance(x, np.ndarray) or isinstance(x, MASKED) or x.ndim != 2 or x.dtype.kind not in "bfiu":
        return None
    steppers, batch = net._steppers, len(x)
    if batch not in steppers:
        steppers[batch] = Stepper.of(net, batch)
    stepper = steppers[batch]
    if stepper is None or x.shape[1] != stepper.n_in:
        return None
    done = stepper(x, state)
    if done is None:                    # settings have changed, and with them coefficients
        steppers[batch] = Stepper.of(net, batch)
        done = steppers[batch](x, state)
    return done                         # None, if x or the state is not finite: `run` says which, and where


def _nothing():
    return None
