"""The public door of a network: what comes in is checked here, and brought into the form that the passes want."""

from __future__ import annotations

import numpy as np

from ..layers.layer import size
from ..signals.spikes import Spikes


class Door:
    """The checks of `Network`; nothing behind them meets a wrong shape."""

    def _input(self, x):
        first = next(iter(self.layers.values()))
        if first.reads_tokens and not isinstance(x, Spikes):
            return first.events(x)
        want, shape = size(self.input_shape), x.shape if isinstance(x, Spikes) else np.shape(x)
        if self.input_shape is not None and len(self.input_shape) > 1 and shape[2:] == self.input_shape:
            x = np.reshape(x, (*shape[:2], want))
            shape = x.shape
        if len(shape) != 3:
            if self.input_shape is not None and len(self.input_shape) > 1:
                raise ValueError(f"expected x of shape (T, B, {', '.join(map(str, self.input_shape))}): time, samples, "
                                 f"{('channels, rows, columns', 'channels, places')[len(self.input_shape) == 2]}; got shape {shape}")
            raise ValueError(f"expected x of shape (T, B, {want or 'N'}): time, samples, features; got shape {shape}. "
                             + ("One sample (T, N) is x[:, None, :]; one step (B, N) goes to net.step" if len(shape) == 2 else ""))
        if want is not None and shape[2] != want:
            raise ValueError(f"expected x of shape (T, B, {want}) for layer {next(iter(self.layers))}; got shape {shape}")
        if isinstance(x, Spikes) or self.loops.holds(x):
            return x
        x = np.asarray(x)
        if x.dtype == bool or np.issubdtype(x.dtype, np.integer) and (x.size == 0 or x.min() >= 0):
            return Spikes.from_dense(x)
        if not (np.issubdtype(x.dtype, np.floating) or np.issubdtype(x.dtype, np.integer)):
            raise ValueError(f"expected numbers or Spikes as input; got {x.dtype}")
        if not np.isfinite(x).all():
            t, b, n = np.argwhere(~np.isfinite(x))[0]
            raise ValueError(f"the input is not finite: x[{t}, {b}, {n}] is {x[t, b, n]}; clean the data before the network")
        return np.ascontiguousarray(x, self.dtype)      # loops may read it where it lies

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
        return {name: None if s is None else type(s)(*(a if self.loops.holds(a) else np.asarray(a, self.dtype) for a in s)) for name, s in state.items()}

    def _hidden(self, dhidden):
        """Gradients of hidden fields, pictures as features."""
        for name, fields in dhidden.items():
            known = self._named(name).recordable()
            for field in fields:
                if field not in known:
                    raise ValueError(f"dhidden: layer {name} hands out {', '.join(known) or 'nothing'}; got a gradient of {field!r}")
        return {name: {field: np.reshape(a, (*np.shape(a)[:1 if field == "rate" else 2], -1)) for field, a in fields.items()}
                for name, fields in dhidden.items()}

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
            known = ("y", *self._named(name).recordable())
            for field in fields:
                if field not in known:
                    raise ValueError(f"layer {name} cannot record {field!r}; it has {', '.join(known)}")
        return record
