"""The network that a command is given, a checkpoint or a NIR file, and the data that it is for."""

from pathlib import Path

from .settings import refuse_taken, values

OF_NIR = ("dt", "integrator", "reset", "reset_when")    # --set of what a NIR file does not say


def kind(path):
    """What network a file holds: "checkpoint", "nir", or None; what is in it decides, not its name."""
    from ..formats import FormatError
    from ..reports.describe import kind_of
    try:
        found = kind_of(Path(path)) if Path(path).is_file() else None
    except FormatError:
        return None
    return found if found in ("checkpoint", "nir") else None


def read_nir(path, settings, device="cpu"):
    """The network of a NIR file; settings: of --set."""
    from .. import nir
    refuse_unknown(settings, OF_NIR, "of a NIR file")
    try:
        return nir.read(path, device=device, **settings)
    except (TypeError, ValueError) as error:
        raise ValueError(str(error).replace("give dt=", "give --set dt=")) from error


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


def answering(net, data):
    """The network, with the sum over time as its answer where the data have one label for a sequence.

    NIR does not know answers over time.
    """
    from ..layers import OverTime
    last = list(net.layers.values())[-1]
    if data.per_step or not last.answers_each_step or isinstance(last, OverTime):
        return net
    print("NOTE: the network answers each step, and the data have one label for each sequence. "
          "The answers are summed over time.\n")
    return net.extended(OverTime("sum"))


def _saved(options):
    """A data set of the user's own."""
    from ..datasets.saved import load as saved
    if options.data is None:
        return None
    if not Path(options.data).exists():
        raise FileNotFoundError(f"no file {options.data}")
    if not Path(options.data).is_file():
        raise ValueError(f"{options.checkpoint} does not say which data set {options.data} is; add --recipe "
                         f"NAME, or give --data a file that `numsnn convert` or Dataset.save wrote")
    found = saved(options.data)
    return None, found, found
