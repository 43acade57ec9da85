"""What a person looks at: `report`, pictures (`plot`, `example`), what a file holds (`describe`)."""

from . import describe, plot
from .example import example
from .writing import Report, report

__all__ = ["Report", "describe", "example", "plot", "report"]
