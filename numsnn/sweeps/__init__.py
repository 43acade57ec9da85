"""Sweeps: a recipe over seeds and settings, each point a training of its own, with one table at the end.

    numsnn sweep srnn-ecg --seeds 0-4 --set lr=0.01,0.02 --out sweep
"""

from .grid import Point, grid, seeds_of, values_of
from .results import Outcome, outcome, write
from .run import run

__all__ = ["Outcome", "Point", "grid", "outcome", "run", "seeds_of", "values_of", "write"]
