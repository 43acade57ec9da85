"""How far a training is, while it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

WIDTH = 24              # characters of the bar
REST = 0.1              # seconds between two drawings of it


class Progress:
    """A bar on a terminal; in a file or a pipe a line for each epoch.  Epochs are counted from 1.

    first: whether loops may have to be compiled in this epoch, so that its first batch says nothing of the
    others.  summed: whether the loss is a sum over time steps, which looks large and need not be.
    shown: keys of the history that a line gives besides the loss.
    """

    def __init__(self, epoch: int, epochs: int, batches: int, on: bool, *, first: bool = False,
                 summed: bool = False, shown: Sequence[str] = ()):
        self.epoch, self.epochs, self.batches = epoch, epochs, batches
        self.on = on and sys.stderr is not None
        self.live = self.on and sys.stderr.isatty()
        self.first = first
        self.unit = " (summed over steps)" if summed else ""
        self.shown = shown
        self.started = time.perf_counter()
        self.of_first = 0.0         # seconds of the first batch
        self.of_another = 0.0       # of a batch after it, the mean
        self.drawn = 0.0

    def batch(self, number: int, loss: float) -> None:
        """Draw the bar after a batch, unless it was drawn a moment ago."""
        now = time.perf_counter()
        so_far = now - self.started
        if number == 0:
            self.of_first = so_far
        else:
            self.of_another = (so_far - self.of_first) / number
        just_drawn = now - self.drawn < REST
        is_last = number + 1 >= self.batches
        if not self.live or just_drawn and not is_last:
            return
        self.drawn = now
        filled = WIDTH * (number + 1) // self.batches
        bar = "#" * filled + "." * (WIDTH - filled)
        left = f", {self.of_another * (self.batches - number - 1):.0f} s left in it" if number else ""
        self._write(f"\r{self._place()} [{bar}] loss {loss:.4g}{self.unit}{left}\033[K")

    def epoch_done(self, row: dict) -> None:
        """Write the line of an epoch, in place of its bar."""
        if not self.on:
            return
        facts = [f"loss {row['loss']:.4g}{self.unit}", *(_fact(key, row[key]) for key in self.shown)]
        if row["projected"]:
            facts.append(f"{row['projected']} values projected to their bound")
        if row.get("skipped"):
            facts.append(f"{row['skipped']} of {self.batches} batches skipped, gradients not finite")
        facts.append(f"{row['seconds']:.2f} s")
        seconds_left = self._of_the_next(row["seconds"]) * (self.epochs - self.epoch - 1)
        if seconds_left > 5:
            facts.append(f"about {_duration(seconds_left)} to go")
        line = f"{self._place()}: {', '.join(facts)}"
        self._write(f"\r{line}\033[K\n" if self.live else f"{line}\n")

    def broken_off(self) -> None:
        """Leave the line of the bar, so that what comes next has one of its own."""
        if self.drawn:
            self._write("\n")

    def _of_the_next(self, seconds):
        """Seconds that the next epoch will take, where this one took so many; 0 where nothing tells."""
        if not self.first:
            return seconds
        return seconds - self.of_first + self.of_another if self.batches > 1 else 0

    def _place(self):
        """Such as "epoch  7/30"."""
        return f"epoch {self.epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"

    @staticmethod
    def _write(text):
        sys.stderr.write(text)
        sys.stderr.flush()


def _fact(key, value):
    """A number of the history: an accuracy by the name of its set."""
    if key.endswith("_accuracy"):
        return f"{key.removesuffix('_accuracy')} {value:.4f}"
    return f"{key.replace('_', ' ')} {value:.4g}"


def _duration(seconds):
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
