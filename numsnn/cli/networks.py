"""The network that a command is given, a checkpoint or a NIR file, and the data that it is for."""

from pathlib import Path

from .settings import refuse_taken, values

OF_NIR = ("dt", "integrator", "reset", "reset_when")    # --set of what a NIR file does not say


def kind(path):
    """What network a file holds: "checkpoint", "nir", or None; what is in it decides, not its name."""
    from ..files.seal import last_line
    from ..formats import FormatError, hdf5
    from ..nir.hdf5 import is_nir
    path = Path(path)
    if not path.is_file():
        return None
    with path.open("rb") as raw:
        if last_line(raw):                      # what it holds is not looked at before its digest
            return "checkpoint"
    try:
        with hdf5.opened(path) as file:
            if is_nir(file):
                return "nir"
            return "checkpoint" if "config" in file and "params" in file else None
    except FormatError:
        return None


def read_nir(path, settings, device="cpu"):
    """The network of a NIR file; settings: of --set."""
    from .. import nir
    refuse_unknown(settings, OF_NIR, "of a NIR file")
    try:
        return nir.read(path, device=device, **settings)
    except TypeError as error:
        raise ValueError(str(error)) from error


def refuse_unknown(settings, known, of_what):
    """Refuse a --set that is none of these."""
    refuse_taken(settings, "path", "device")
    wrong = [key for key in settings if key not in known]
    if wrong:
        raise ValueError(f"no option {wrong[0]!r} {of_what}; there are {', '.join(known)}")


def load(options, device):
    """(network, what its file says of its training or None)."""
    from ..files import checkpoint
    path, settings = options.checkpoint, values(options.set)
    if kind(path) == "nir":
        if options.last:
            raise ValueError("--last is for a checkpoint; a NIR file holds one network only")
        return read_nir(path, settings, device), None
    if settings:
        raise ValueError(f"--set is for a NIR file, and {path} is none")
    training = checkpoint.describe(path)["training"]
    return checkpoint.load(path, which="last" if options.last else "best", device=device), training


def data_of(options, training):
    """Its data, (recipe's name or None, train, test): of --recipe, of the recipe that it was trained by, or a
    file of --data; None where nobody knows.
    """
    from .. import recipes
    known = training and {"recipe", "seed", "options"} <= set(training)
    if options.recipe is None and not known:
        return _saved(options)
    if options.recipe is None:
        name, seed, settings = training["recipe"], training["seed"], training["options"]
    else:
        name, seed, settings = options.recipe, 0, recipes.get(options.recipe).configured({})
    data = recipes.get(name).data(options.data, seed, settings)
    return name, data.train, data.test


def _saved(options):
    """A data set of the user's own."""
    from ..datasets.saved import load as saved
    if options.data is None:
        return None
    if not Path(options.data).is_file():
        raise ValueError(f"{options.checkpoint} does not say which data set {options.data} is; add --recipe "
                         f"NAME, or give --data a file that `numsnn convert` or Dataset.save wrote")
    found = saved(options.data)
    return None, found, found
