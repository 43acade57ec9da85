"""`numsnn export`: a checkpoint as C."""

import hashlib
from pathlib import Path


def export(options):
    """Load, quantise where asked, and write the files of C."""
    from ..export import export_c
    from ..files.checkpoint import describe, load
    path = Path(options.checkpoint)
    training = describe(path)["training"]
    net = load(path, which="last" if options.last else "best", device="reference")
    calibration = _calibration(options, training)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    command = f"numsnn export {path.name} --name {options.name} --numbers {options.numbers}"
    made = export_c(net, options.out, options.name, numbers=options.numbers, calibration=calibration,
                    made_by=f"Made of {path.name} (SHA-256 begins {digest}) by: {command}")
    if made.report is not None:
        print(f"{made.report}\n")
    print(made)


def _calibration(options, training):
    """The training set of the recipe that the checkpoint is of, None where nobody knows it."""
    from .. import recipes
    if not training or "recipe" not in training:
        if options.numbers != "float32":
            raise ValueError(f"{options.checkpoint} was not written by `numsnn train`, so that no data are "
                             f"known on which to measure ranges; use ns.export_c(net, folder, "
                             f"numbers={options.numbers!r}, calibration=data)")
        return None
    if options.data is None:
        print("NOTE: no --data given. The data of the calibration and of the test are SYNTHETIC.\n")
    try:
        return recipes.get(training["recipe"]).data(options.data, training["seed"], training["options"]).train
    except ImportError as error:
        if options.numbers != "float32" or options.data is not None:
            raise
        print(f"NOTE: {error}. The steps of the test are random numbers.\n")       # floats need no data
        return None
