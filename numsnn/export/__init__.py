"""A trained network outside of Python: as C in floats and in whole numbers (`export_c`, `quantise`).

How it works.  A layer says in of_layers.py which plain operations a step of it is (program.py); a neuron's
step is called with values that note what is done with them (expression.py).  c_float.py prints that as C;
fixed.py and integers.py give every number a format of whole numbers, whole_run.py runs it in NumPy, and
c_integers.py prints the same.  No equation stands here a second time.
"""

from . import of_layers
from .files import Exported, export_c
from .lowering import ExportError
from .quantise import IntegerNetwork, quantise
from .report import Report

__all__ = ["ExportError", "Exported", "IntegerNetwork", "Report", "export_c", "of_layers", "quantise"]
