"""What each command of numsnn does."""

import json
import platform
import re
import sys
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from inspect import signature
from pathlib import Path


def _threads(options):
    if options.threads is not None:
        from ..devices.threads import set_num_threads
        set_num_threads(options.threads)


def _train(options):
    from .. import recipes
    from ..recipes import report
    from ..training.train import fit
    recipe = recipes.get(options.recipe)
    settings = recipe.configured(_settings(options.set))
    about = _about(options, recipe, settings)
    _threads(options)
    out = Path(options.out or f"runs/{recipe.name}-seed{options.seed}")
    checkpoint = out / "checkpoint.h5"
    _claim(out, checkpoint, about, options.resume)
    _announce(options)
    data = recipe.data(options.data, options.seed, settings)
    net = recipe.network(_sized(recipe, settings, data), options.seed, options.device)
    print(net.summary(), end="\n\n")
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(about, indent=1))
    history = fit(net, data.train, data.valid, loss=recipe.loss, optimizer=recipe.optimizer(settings),
                  epochs=about["epochs_asked"], batch_size=about["batch_size"], seed=options.seed,
                  watch={"test": data.test}, checkpoint=checkpoint, resume=options.resume,
                  facts={"recipe": recipe.name, "options": settings}, **(recipe.fit or {}))
    print(report.write(out, recipe, net, history, data, about))
    written = sorted(path.name for path in out.iterdir() if not path.name.endswith(".part"))
    print(f"\nwritten to {out}: {', '.join(written)}")


def _sized(recipe, settings, data):
    """The options of the network: those of the recipe, and those that only the data tell."""
    return settings | (recipe.sizes(data) if recipe.sizes else {})


def _about(options, recipe, settings):
    """What the run is: enough to repeat it."""
    from .. import __version__
    versions = {"numsnn": __version__, "python": platform.python_version(),
                **{name: version(name) for name in ("numpy", "numba", "scipy") if find_spec(name)}}
    epochs = recipe.epochs if options.epochs is None else options.epochs
    if epochs < 1:
        raise ValueError(f"--epochs must be at least 1; got {epochs}")
    batch_size = recipe.batch_size if options.batch_size is None else options.batch_size
    folder = None if options.data is None else str(Path(options.data).resolve())
    return {"recipe": recipe.name, "options": settings, "seed": options.seed, "epochs_asked": epochs,
            "batch_size": batch_size, "data": folder, "device": options.device,
            "synthetic": options.data is None, "versions": versions}


def _settings(pairs):
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set takes OPTION=VALUE, such as v_threshold=0.1; got {pair!r}")
        settings[key] = value
    return settings


def _claim(out, checkpoint, about, resume):
    """Refuse to write over another training, or to go on with a different one."""
    if not checkpoint.exists():
        if resume:
            print(f"nothing to resume at {checkpoint}; starting anew", file=sys.stderr)
        return
    if not resume:
        raise ValueError(f"{out} holds a training already; add --resume to go on with it, "
                         "or choose another --out")
    config = out / "config.json"
    if not config.is_file():
        return
    before = json.loads(config.read_text())
    for key in ("recipe", "options", "seed", "batch_size", "data"):
        if before.get(key) != about[key]:
            raise ValueError(f"{out} was trained with {key} = {before.get(key)!r}, "
                             f"this command says {about[key]!r}; use the same, or another --out")


def _announce(options):
    from ..devices import notice
    if options.data is None:
        print("NOTE: no --data given. The data are SYNTHETIC: made by a model, recorded from nobody. "
              "Accuracies say nothing about the\n"
              "real task; see data/README.md for where the real data come from.\n")
    if notice(options.device):
        print(notice(options.device), end="\n\n")


def _evaluate(options):
    from ..training.train import evaluate
    print(evaluate(*_tested(options, "ns.evaluate")))


def _energy(options):
    from ..energy import preset, table
    from ..reports import plot
    constants = preset(options.constants)
    out = options.out or Path(options.checkpoint).with_name("energy.png")
    found = table(*_tested(options, "ns.energy.table"), constants=constants, batch_size=options.batch)
    print(found)
    print(f"\ndrawn to {plot.save(plot.energy(found), out)}")


def _tested(options, instead):
    """(network, test set) of a checkpoint.

    instead: what to use where the checkpoint does not tell its data.
    """
    from .. import recipes
    from ..files.checkpoint import describe, load
    _threads(options)
    training = describe(options.checkpoint)["training"]
    if not training or "recipe" not in training:
        raise ValueError(f"{options.checkpoint} was not written by `numsnn train`, "
                         f"so that its data are not known; use {instead}")
    net = load(options.checkpoint, which="last" if options.last else "best", device=options.device)
    if options.data is None:
        print("NOTE: no --data given. The data are SYNTHETIC.\n")
    data = recipes.get(training["recipe"]).data(options.data, training["seed"], training["options"])
    return net, data.test


def _recipes(options):
    from ..recipes import RECIPES
    for recipe in RECIPES.values():
        settings = ", ".join(f"{option}={default}" for option, default in recipe.options.items())
        print(f"{recipe.name}: {recipe.summary}\n"
              f"    {recipe.epochs} epochs, batches of {recipe.batch_size}; {recipe.expected}\n"
              f"    options (--set): {settings}")


def _bench(options):
    from .. import bench
    _threads(options)
    if options.json is not None:
        folder = Path(options.json).resolve().parent
        if not folder.is_dir():
            raise ValueError(f"there is no folder {folder}; make it first")
    if any(batch < 1 for batch in options.batch):
        raise ValueError(f"--batch takes positive numbers of samples; got {min(options.batch)}")
    names = bench.on_device(options.device) if options.all else options.cases or ["shd", "ecg"]
    found = bench.bench(names, runs=options.runs, tiny=options.tiny, peers=options.peers,
                        growth=options.growth or options.all, first=options.first or options.all,
                        out=options.out or "growth.png", device=options.device,
                        batches=tuple(options.batch), say=partial(print, flush=True))
    if options.json is not None:
        Path(options.json).write_text(json.dumps(found, indent=1))


def _warmup(options):
    from .. import recipes
    from ..training import train
    for recipe in [recipes.get(name) for name in options.recipes]:
        settings = recipe.configured({})
        data = recipe.data(None, 0, settings)
        net = recipe.network(_sized(recipe, settings, data), 0, "cpu")
        seconds = train.warm_up(net, data.train, loss=recipe.loss, optimizer=recipe.optimizer(settings),
                                **(recipe.fit or {}))
        print(f"{recipe.name}: {seconds:.1f} s")


def _values(pairs):
    """--set pairs as numbers, truth values, tuples of numbers (128x128) or text."""
    values = {}
    for key, text in _settings(pairs).items():
        if text.lower() in ("true", "false"):
            values[key] = text.lower() == "true"
        elif re.fullmatch(r"-?\d+", text):
            values[key] = int(text)
        elif re.fullmatch(r"\d+x\d+", text):
            values[key] = tuple(map(int, text.split("x")))
        else:
            try:
                values[key] = float(text)
            except ValueError:
                values[key] = text
    return values


def _convert(options):
    settings, out = _values(options.set), Path(options.output)
    if out.exists():
        raise ValueError(f"{out} exists already; remove it, or choose another name")
    if not out.parent.is_dir():
        raise ValueError(f"there is no folder {out.parent}; make it first")
    about = {"input": str(Path(options.input).resolve()), **settings}
    if options.dataset is None:
        _convert_file(options, settings, about, out)
    else:
        _convert_dataset(options, settings, about, out)


def _convert_file(options, settings, about, out):
    from .. import formats
    from ..datasets import converted
    if Path(options.input).is_dir():
        raise ValueError(f"{options.input} is a folder; say --dataset, one of {', '.join(_datasets())}")
    stream = formats.stream(options.input, options.format, strict=not options.skip_bad, **settings)
    n = converted.write_stream(out, stream, {**about, "format": stream.format})
    print(f"{n:,} events of {options.input} written to {out}" + _skipped(stream.problems.counts))


def _convert_dataset(options, settings, about, out):
    from ..datasets import Dataset, converted
    known = _datasets()
    if options.dataset not in known:
        raise ValueError(f"no data set {options.dataset!r}; there are {', '.join(known)}")
    if options.dataset == "fsdd":                       # sound becomes spikes on the way
        n = _made(partial(known["fsdd"], path=out), options, settings)
        print(f"{n:,} recordings of Free Spoken Digits written to {out} as spikes, in SHD layout")
        return
    found = _made(known[options.dataset], options, settings)
    about = {**about, "dataset": options.dataset, "part": options.part}
    if isinstance(found, Dataset):
        found.save(out, about)
        print(f"{len(found):,} sequences of {found.name} written to {out}")
        return
    before = converted.write(out, found, about, _Bar())
    there = f"; {before:,} were there already" if before else ""
    print(f"{len(found.items):,} recordings of {found.name} written to {out}{there}")


def _datasets():
    """Name -> function(path, part, ...) that gives a Listing or a Dataset."""
    from ..datasets import braille, cameras, mnist, qtdb, shd, speech
    return {**cameras.LISTINGS, **shd.LISTINGS, "qtdb-coded": qtdb.coded, "qtdb": qtdb.raw,
            "mnist": mnist.mnist, "fashion-mnist": mnist.fashion, "mnist-still": mnist.still,
            "braille": braille.braille, "fsdd": speech.fsdd_spikes, "speech-commands": speech.speech_commands}


def _made(make, options, settings):
    """The data set, with --part and --skip-bad where it knows them."""
    known = signature(make).parameters
    if "strict" in known:
        settings = {**settings, "strict": not options.skip_bad}
    takes_any = any(parameter.kind == parameter.VAR_KEYWORD for parameter in known.values())
    wrong = [key for key in settings if key not in known and not takes_any]
    if wrong:
        has = ", ".join(list(known)[2:]) or "none"
        raise ValueError(f"data set {options.dataset} has no option {wrong[0]!r}; it has {has}")
    part = {"part": options.part} if "part" in known else {}
    try:
        return make(options.input, **part, **settings)
    except TypeError as error:
        raise ValueError(f"data set {options.dataset}: {error}") from error


def _skipped(counts):
    return "".join(f"\nSKIPPED: {n:,} x {what}" for what, n in counts.items())


class _Bar:
    """Progress of a conversion: a bar on a terminal, a line for each tenth elsewhere."""

    def __init__(self):
        self.live = sys.stderr.isatty()
        self.tenth = -1

    def __call__(self, done, n, name):
        if self.live:
            filled = 24 * done // max(n, 1)
            bar = "#" * filled + "." * (24 - filled)
            end = "\n" if done == n else ""
            sys.stderr.write(f"\r[{bar}] {done}/{n} {name[-40:]}\033[K{end}")
        elif 10 * done // max(n, 1) > self.tenth:
            self.tenth = 10 * done // max(n, 1)
            sys.stderr.write(f"{done}/{n}\n")
        sys.stderr.flush()


def _info(options):
    from ..reports import plot
    from ..reports.describe import describe
    found = describe(options.file, options.format, recording=options.recording, **_values(options.set))
    print(found.text)
    if options.plot is None:
        return
    if found.events is None or not found.events.n_events:
        raise ValueError(f"{options.file} holds no events to draw")
    if options.plot != "raster" and len(found.events.shape) == 1:
        raise ValueError(f"--plot {options.plot} is for pixels; {options.file} has units, "
                         f"draw it with --plot raster")
    name = Path(options.file).name
    out = options.out or f"{name}.{options.plot}.png"
    plot.save(plot.EVENT_PLOTS[options.plot](found.events, title=name), out)
    print(f"drawn to {out}")


def _export(options):
    from .exporting import export
    export(options)


def _guide(options):
    from .. import guide
    if options.page is None:
        print(guide.contents())
        print("\nnumsnn guide PAGE shows one; read start first.")
        return
    print(guide.page(options.page), end="")


COMMANDS = {"train": _train, "evaluate": _evaluate, "energy": _energy, "recipes": _recipes, "warmup": _warmup,
            "bench": _bench, "convert": _convert, "info": _info, "export": _export, "guide": _guide}
