"""Digests, by which ranks find that they were started with different things."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SIZE = 16       # bytes


def digest(fact: Any) -> bytes:
    """Sixteen bytes that equal facts share: of arrays, Spikes, and of dicts, lists, numbers and texts."""
    found = hashlib.blake2b(digest_size=SIZE)
    _feed(found, fact)
    return found.digest()


def _feed(found, fact):
    if isinstance(fact, np.ndarray):
        found.update(f"{fact.dtype.str}{fact.shape}".encode())
        found.update(np.ascontiguousarray(fact).view(np.uint8) if fact.size else b"")
    elif isinstance(fact, Mapping):
        for key in sorted(fact, key=str):
            found.update(f"{key}:".encode())
            _feed(found, fact[key])
    elif isinstance(fact, Sequence) and not isinstance(fact, (str, bytes)):
        found.update(f"[{len(fact)}]".encode())
        for each in fact:
            _feed(found, each)
    else:
        found.update(json.dumps(fact, default=repr).encode())


def differences(names: Sequence[str], digests: np.ndarray) -> list[str]:
    """A sentence for each fact that is not the same on all ranks; digests: (ranks, facts, SIZE)."""
    told = []
    for name, of_ranks in zip(names, digests.transpose(1, 0, 2), strict=True):
        others = np.flatnonzero((of_ranks != of_ranks[0]).any(1))
        if others.size:
            who = ", ".join(map(str, others[:8])) + (" ..." if others.size > 8 else "")
            told.append(f"rank{'s' * (others.size > 1)} {who} of {len(of_ranks)} "
                        f"{'have' if others.size > 1 else 'has'} another {name} than rank 0")
    return told
