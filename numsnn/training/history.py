"""What a training leaves behind: numbers of each epoch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path


class History:
    """One dict an epoch: epoch, loss, NAME_accuracy of each watched set, projected, seconds.

    Of a regression NAME_loss, NAME_mse, NAME_mae, NAME_r2, NAME_correlation in place of NAME_accuracy.
    """

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

    def best(self, key: str | None = None) -> dict | None:
        """The first epoch with the best value of `key`: of a loss or error the smallest, else the largest.

        None: valid_accuracy, or valid_loss where that is not known.
        """
        usual = "valid_loss" if "valid_loss" in self and "valid_accuracy" not in self else "valid_accuracy"
        key = key or usual
        sign = -1 if key.endswith(("loss", "mse", "mae")) else 1
        known = [epoch for epoch in self.epochs if key in epoch]
        return max(known, key=lambda epoch: sign * epoch[key], default=None)

    def save(self, path: Path | str) -> None:
        """Write the epochs as JSON."""
        Path(path).write_text(json.dumps(self.epochs, indent=1))

    def __repr__(self) -> str:
        last = f", last: {self.epochs[-1]}" if self.epochs else ""
        return f"History({len(self)} epochs{last})"
