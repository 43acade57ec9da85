"""The points of a sweep: every combination of settings, with every seed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

MOST_POINTS = 100_000
LONGEST = 200               # characters of a folder's name


class Point(NamedTuple):
    """A training of a sweep.  settings: option -> its text."""
    seed: int
    settings: dict[str, str]

    @property
    def setting(self) -> str:
        """The settings as one word, such as lr=0.01,hidden=64; "default" where there are none."""
        return ",".join(f"{key}={value}" for key, value in self.settings.items()) or "default"

    def folder(self, out: Path) -> Path:
        """Where this training goes: OUT/SETTINGS/seedN."""
        return out / quote(self.setting, safe="=,+ ")[:LONGEST] / f"seed{self.seed}"


def grid(seeds: Sequence[int], settings: Mapping[str, Sequence[str]]) -> list[Point]:
    """All points, settings in the order in which they are given, seeds within them."""
    many = prod(map(len, settings.values()), start=len(seeds))
    if many > MOST_POINTS:
        raise ValueError(f"a sweep has at most {MOST_POINTS:,} points; these seeds and settings make "
                         f"{many:,}")
    combinations = [dict(zip(settings, values, strict=True)) for values in product(*settings.values())]
    return [Point(seed, chosen) for chosen in combinations for seed in seeds]


def seeds_of(text: str) -> list[int]:
    """The seeds that "0-4,7" means: 0, 1, 2, 3, 4, 7."""
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,18})(?:-(\d{1,18}))?\s*", part)
        if not found:
            raise ValueError(f"--seeds takes seeds such as 0-4,7; got {text!r}")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first or last - first >= MOST_POINTS:
            raise ValueError(f"--seeds: {part.strip()} must go up, over at most {MOST_POINTS:,} seeds")
        seeds += range(first, last + 1)
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"--seeds names a seed twice; got {text!r}")
    return seeds


def values_of(pairs: Mapping[str, str]) -> dict[str, list[str]]:
    """Option -> its values, of OPTION -> "VALUE,VALUE"."""
    found = {}
    for option, text in pairs.items():
        values = [value.strip() for value in text.split(",")]
        if not all(values) or len(set(values)) < len(values):
            raise ValueError(f"--set {option}={text}: expected different values between commas, such as "
                             f"lr=0.01,0.02")
        found[option] = values
    return found
