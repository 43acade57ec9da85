"""What networks are fed: `Spikes`, `Events`, codes (`encode`) and sound (`audio`)."""

from . import audio, encode
from .events import Events
from .spikes import Spikes

__all__ = ["Events", "Spikes", "audio", "encode"]
