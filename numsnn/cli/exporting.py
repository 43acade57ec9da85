"""`numsnn export`: a checkpoint or a NIR file as C."""

import hashlib
from pathlib import Path

from . import networks


def export(options):
    """Load, quantise where asked, and write the files of C."""
    from ..export import export_c
    path = Path(options.checkpoint)
    net, training = networks.load(options, "reference")
    calibration = _calibration(options, training)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    command = f"numsnn export {path.name} --name {options.name} --numbers {options.numbers}"
    made = export_c(net, options.out, options.name, numbers=options.numbers, calibration=calibration,
                    made_by=f"Made of {path.name} (SHA-256 begins {digest}) by: {command}")
    if made.report is not None:
        print(f"{made.report}\n")
    print(made)


def _calibration(options, training):
    """The training set of its recipe, or the data set of --data; None where nobody knows it."""
    try:
        found = networks.data_of(options, training)
    except ImportError as error:
        if options.numbers != "float32" or options.data is not None:
            raise
        print(f"NOTE: {error}. The steps of the test are random numbers.\n")       # floats need no data
        return None
    if found is None and options.numbers != "float32":
        raise ValueError(f"{options.checkpoint} was not written by `numsnn train`, so that no data are known "
                         f"on which to measure ranges; add --recipe NAME or --data FILE.h5, or use "
                         f"ns.export_c(net, folder, numbers={options.numbers!r}, calibration=data)")
    if found is not None and options.data is None:
        print("NOTE: no --data given. The data of the calibration and of the test are SYNTHETIC.\n")
    return found and found[1]
