"""What a person looks at: pictures of runs and trainings (`plot`), what a file holds (`describe`)."""

from . import describe, plot

__all__ = ["describe", "plot"]
