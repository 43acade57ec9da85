"""For layers that take their own time steps one by one: pieces of a sequence, and what comes back of them."""

from typing import Any

import numpy as np

from ..devices.contract import valid_steps
from .layer import Context, Layer


def contexts(context: Context, steps: int, batch: int) -> list[Context]:
    """The context of each step of a sequence."""
    if context.lengths is None:
        return [context] * steps
    valid = valid_steps(steps, batch, context.lengths)[..., 0].astype(np.int64)
    return [context._replace(lengths=of_step) for of_step in valid]


def _n_valid(context, steps):
    """Number of valid steps of each sample, at least 1."""
    return np.maximum(steps if context.lengths is None else context.lengths, 1)[..., None]


def together(seen: list[dict], context: Context) -> dict[str, np.ndarray]:
    """What was recorded in each step, for the sequence; a rate is the mean over the valid steps."""
    if not seen:
        return {}
    fields = [field for field in seen[0] if field != "rate"]
    found = {field: context.loops.joined([step[field] for step in seen]) for field in fields}
    if "rate" in seen[0]:
        found["rate"] = sum(step["rate"] for step in seen) / _n_valid(context, len(seen))
    return found


def hidden(dhidden: dict | None, context: Context, steps: int) -> list[dict]:
    """Gradients of hidden fields for each step."""
    dhidden = {field: d if field == "rate" else context.loops.put(d) for field, d in (dhidden or {}).items()}
    if "rate" in dhidden:
        dhidden["rate"] = dhidden["rate"] / _n_valid(context, steps)
    return [{field: d if field == "rate" else d[t:t + 1] for field, d in dhidden.items()}
            for t in range(steps)]


def no_gradients(layer: Layer, loops: Any) -> dict[str, Any]:
    """A gradient of zero of each parameter, where that lies."""
    return {key: (np if key in layer.settings_of_host else loops).zeros(p.shape, p.dtype)
            for key, p in layer.params.items()}


def add_to(sums: dict, more: dict) -> None:
    """sums += more, by name."""
    for key, value in more.items():
        sums[key] = sums[key] + value if key in sums else value
