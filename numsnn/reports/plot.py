"""Pictures: curves, confusion, spikes and membranes over time, recordings of events, energy.

Functions draw on axes that are handed in, or make a `Figure`; `save` writes it.  Matplotlib is imported when
a figure is drawn, and no global state of pyplot is touched.
"""

from .curves import answers, by_setting, confusion, energy, parameters, rates, training_curve
from .overtime import label_bands, membrane, pictures, raster, sequence, traces
from .recordings import EVENT_PLOTS, event_frames, events_raster, time_surface
from .style import COLOURS, INK, PALE, STYLE, figure, save, styled

__all__ = ["COLOURS", "EVENT_PLOTS", "INK", "PALE", "STYLE", "answers", "by_setting", "confusion", "energy",
           "event_frames", "events_raster", "figure", "label_bands", "membrane", "parameters", "pictures",
           "raster", "rates", "save", "sequence", "styled", "time_surface", "traces", "training_curve"]
