"""Arrays and spikes cut into parts, and put together again (see contract.py)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...signals.spikes import Spikes


def parted(a: np.ndarray, n: int | Sequence[int]) -> tuple[np.ndarray, ...]:
    ends = range(n, a.shape[-1], n) if isinstance(n, int) else np.cumsum(n)[:-1]
    if len(ends) == 0:
        return (a,)
    return tuple(map(np.ascontiguousarray, np.split(a, list(ends), -1)))


def beside(parts: Sequence[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return Spikes.join(list(parts), 2) if isinstance(parts[0], Spikes) else np.concatenate(parts, axis=-1)


def joined(parts: Sequence[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return Spikes.join(list(parts), 0) if isinstance(parts[0], Spikes) else np.concatenate(parts)


__all__ = ["beside", "joined", "parted"]
