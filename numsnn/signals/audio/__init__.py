"""From sound to spikes and to features.

`Cochlea` and `cochlea` are an inner ear that spikes; `log_mel` gives log-mel features and their deltas.
"""

from .ear import Cochlea, EarState, cochlea, normalise
from .mel import log_mel, mel_filters

__all__ = ["Cochlea", "EarState", "cochlea", "log_mel", "mel_filters", "normalise"]
