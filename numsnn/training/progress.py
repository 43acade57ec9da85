"""How far a training is, while it runs."""

from __future__ import annotations

import sys
import time

WIDTH = 24              # characters of the bar
REST = 0.1              # seconds between two drawings of it


class Progress:
    """A bar on a terminal; in a file or a pipe a line for each epoch."""

    def __init__(self, epoch: int, epochs: int, batches: int, on: bool):
        self.epoch, self.epochs, self.batches = epoch, epochs, batches
        self.on = on and sys.stderr is not None         # None in a program without a console
        self.live = self.on and sys.stderr.isatty()
        self.started = time.perf_counter()
        self.drawn = 0.0

    def batch(self, number: int, loss: float) -> None:
        """Draw the bar after a batch, unless it was drawn a moment ago."""
        now = time.perf_counter()
        just_drawn = now - self.drawn < REST
        is_last = number + 1 >= self.batches
        if not self.live or just_drawn and not is_last:
            return
        self.drawn = now
        done = (number + 1) / self.batches
        filled = int(WIDTH * done)
        bar = "#" * filled + "." * (WIDTH - filled)
        seconds_left = (now - self.started) / done * (1 - done)
        self._write(f"\r{self._place()} [{bar}] loss {loss:.4g}, {seconds_left:.0f} s left in it\033[K")

    def epoch_done(self, row: dict) -> None:
        """Write the line of an epoch, in place of its bar."""
        if not self.on:
            return
        facts = [f"loss {row['loss']:.4g}"]
        facts += [f"{key.removesuffix('_accuracy')} {value:.4f}"
                  for key, value in row.items() if key.endswith("_accuracy")]
        if row["projected"]:
            facts.append(f"{row['projected']} values projected to their bound")
        facts.append(f"{row['seconds']:.2f} s")
        seconds_left = row["seconds"] * (self.epochs - self.epoch - 1)
        if seconds_left > 5:
            facts.append(f"about {_duration(seconds_left)} to go")
        line = f"{self._place()}: {', '.join(facts)}"
        self._write(f"\r{line}\033[K\n" if self.live else f"{line}\n")

    def _place(self):
        """Such as "epoch  7/30"."""
        return f"epoch {self.epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"

    @staticmethod
    def _write(text):
        sys.stderr.write(text)
        sys.stderr.flush()


def _duration(seconds):
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
