"""What a training leaves behind: numbers of each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..formats.whole import write_json


class History:
    """One dict an epoch: epoch, loss, NAME_accuracy of each watched set, projected, seconds."""

    def __init__(self, epochs: list[dict] | None = None):
        self.epochs: list[dict] = epochs or []

    def __getitem__(self, key: str) -> list:
        """A column, such as history["loss"]."""
        return [epoch.get(key) for epoch in self.epochs]

    def __len__(self) -> int:
        return len(self.epochs)

    def __iter__(self) -> Iterator[dict]:
        return iter(self.epochs)

    def __contains__(self, key: str) -> bool:
        """Whether there is such a column."""
        return any(key in epoch for epoch in self.epochs)

    def best(self, key: str = "valid_accuracy") -> dict | None:
        """The first epoch with the largest value of `key`."""
        known = [epoch for epoch in self.epochs if key in epoch]
        return max(known, key=lambda epoch: epoch[key], default=None)

    def save(self, path: Path | str) -> None:
        """Write the epochs as JSON."""
        write_json(path, self.epochs)

    def __repr__(self) -> str:
        last = f", last: {self.epochs[-1]}" if self.epochs else ""
        return f"History({len(self)} epochs{last})"
