"""What a training leaves behind: numbers of each epoch."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..checked import checked, what_it_is
from ..formats.whole import write_text

LARGEST, SMALLEST = "max", "min"
BETTER = {"accuracy": LARGEST, "r2": LARGEST, "correlation": LARGEST,
          "loss": SMALLEST, "mse": SMALLEST, "mae": SMALLEST, "seconds": SMALLEST}
ENDINGS = (".csv", ".json")


def direction_of(key: str, told: str | None = None) -> str:
    """ "max" or "min": whether an epoch is better with a larger or a smaller value of `key`.

    told: by the user, None where the key says it by its last word (accuracy, loss ...).
    """
    if told not in (None, LARGEST, SMALLEST):
        raise ValueError(f'direction must be "max" or "min", or None where the key tells it; got {told!r}')
    direction = told or BETTER.get(key.rpartition("_")[2])
    if direction is None:
        raise ValueError(f'whether a larger or a smaller {key} is better, nothing says; '
                         f'give direction="max" or direction="min"')
    return direction


def numbers(row: dict) -> str:
    """What was measured in an epoch, for people: "loss 0.31, valid_accuracy 0.9"."""
    return ", ".join(f"{key} {_short(value)}" for key, value in row.items() if key != "epoch")


class History:
    """One dict an epoch.

    epoch           its index, from 0; what is shown to people (progress, plots, messages) counts from 1
    loss            of the training set: the mean over its sequences, each measured in its batch's turn
    learning_rate   of parameters without a factor of their own
    gradient_norm   Euclidean norm of all gradients before clipping, the mean over the epoch's batches that
                    updated something
    projected       values that an update put back on their lower bound
    skipped         batches that updated nothing, where `fit` was told to skip such
    valid_loss, valid_accuracy
                    of the validation set, after the epoch; of a regression valid_mse, valid_mae, valid_r2,
                    valid_correlation in place of the accuracy; NAME_loss ... of each watched set
    seconds         of the epoch, with what is measured after it

    monitor: the key by which `best` chooses unless told another; None: valid_accuracy, or valid_loss where
    that is not known.  direction: "max" or "min", None where the key tells it.
    """

    @checked
    def __init__(self, epochs: list[dict] | None = None, *, monitor: str | None = None,
                 direction: str | None = None):
        given = [] if epochs is None else epochs
        if not isinstance(given, list) or not all(isinstance(epoch, dict) for epoch in given):
            raise ValueError(f"epochs must be a list with a dict for each epoch; got {what_it_is(given)}")
        self.epochs: list[dict] = given
        self.monitor = monitor
        self.direction = direction

    @checked
    def __getitem__(self, key: str) -> list:
        """A column, such as history["loss"]; None in epochs that lack it.

        KeyError where no epoch has it.
        """
        if self.epochs and key not in self:
            raise KeyError(f"no {key!r} in this history; it has {', '.join(self.keys())}")
        return [epoch.get(key) for epoch in self.epochs]

    def __len__(self) -> int:
        return len(self.epochs)

    def __iter__(self) -> Iterator[dict]:
        return iter(self.epochs)

    def __contains__(self, key: str) -> bool:
        """Whether there is such a column."""
        return any(key in epoch for epoch in self.epochs)

    def keys(self) -> list[str]:
        """The names of the columns."""
        return list(dict.fromkeys(key for epoch in self.epochs for key in epoch))

    @checked
    def best(self, key: str | None = None, direction: str | None = None) -> dict | None:
        """The first epoch with the best value of `key`, None where no epoch has a finite one.

        key: None: `monitor`.  direction: see the class; of a loss the smallest is best, of an accuracy the
        largest.  KeyError where no epoch has the key.
        """
        if key is None:
            key, direction = self.monitor or self._usual(), direction or self.direction
        elif self.epochs:
            self[key]
        sign = 1 if direction_of(key, direction) == LARGEST else -1
        known = [epoch for epoch in self.epochs if _is_finite(epoch.get(key))]
        return max(known, key=lambda epoch: sign * epoch[key], default=None)

    def _usual(self):
        only_loss = "valid_loss" in self and "valid_accuracy" not in self
        return "valid_loss" if only_loss else "valid_accuracy"

    @checked
    def save(self, path: Path | str) -> None:
        """Write the epochs: .csv with a line for each, .json as a list of objects.

        ValueError for any other ending.  What is not finite is null in JSON, nan or inf in CSV.
        """
        path = Path(path)
        text = {".csv": self._csv, ".json": self._json}[_ending(path)]()
        write_text(path, text)

    def _csv(self):
        out = io.StringIO()
        table = csv.DictWriter(out, self.keys(), restval="", lineterminator="\n")
        table.writeheader()
        table.writerows({key: _plain(value) for key, value in epoch.items()} for epoch in self.epochs)
        return out.getvalue()

    def _json(self):
        rows = [{key: _or_null(value) for key, value in epoch.items()} for epoch in self.epochs]
        return json.dumps(rows, indent=1, allow_nan=False)

    @classmethod
    def load(cls, path: Path | str, *, monitor: str | None = None,
             direction: str | None = None) -> History:
        """The history that `save` wrote; ValueError where the file holds none.

        monitor, direction: see the class; the file does not keep them.
        """
        path = Path(path)
        read = {".csv": _rows_of_csv, ".json": _rows_of_json}[_ending(path)]
        try:
            rows = read(path.read_text(encoding="utf-8"))
        except (ValueError, csv.Error, RecursionError) as error:
            raise ValueError(f"{path} is no history that numsnn wrote: {error}") from None
        return cls(rows, monitor=monitor, direction=direction)

    def __repr__(self) -> str:
        last = f"; in the last {numbers(self.epochs[-1])}" if self.epochs else ""
        return f"History({len(self)} epochs{last})"


# ---- values and files


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) or hasattr(value, "item")
    return is_number and math.isfinite(value)


def _short(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(value):
    """A NumPy number as one of Python's."""
    return value.item() if hasattr(value, "item") else value


def _or_null(value):
    value = _plain(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _ending(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"a history is kept as .csv or .json; got {path}")
    return ending


def _rows_of_json(text):
    rows = json.loads(text)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("expected a list of objects, one an epoch")
    return [{key: math.nan if value is None else value for key, value in row.items()} for row in rows]


def _rows_of_csv(text):
    table = csv.reader(io.StringIO(text))
    head = next(table, [])
    rows = []
    for number, cells in enumerate(table, 2):
        if len(cells) != len(head):
            raise ValueError(f"line {number} has {len(cells)} values for {len(head)} columns")
        rows.append({key: _number(cell) for key, cell in zip(head, cells, strict=True) if cell != ""})
    if rows and "epoch" not in head:
        raise ValueError("its first line names no column epoch")
    return rows


def _number(cell):
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            pass
    return cell
