"""The command line: numsnn train, evaluate, energy, recipes, warmup, bench, convert, info."""

import argparse
import json
import platform
import re
import sys
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from inspect import signature
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run the program; 0, or 2 where the input was wrong."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except (ValueError, ArithmeticError, OSError, ImportError, MemoryError) as error:
        print(f"numsnn {options.command}: {error or type(error).__name__}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; finished epochs are in the checkpoint, --resume goes on", file=sys.stderr)
        return 130


def _parser():
    from . import __version__
    parser = argparse.ArgumentParser("numsnn", description="Spiking neural networks with hand-written backpropagation through time.")
    parser.add_argument("--version", action="version", version=f"numsnn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train a recipe, then write a report")
    train.add_argument("recipe", help="a name that `numsnn recipes` lists")
    train.add_argument("--data", metavar="DIR", help="folder of the real data; without it synthetic data are made")
    train.add_argument("--epochs", type=int, metavar="N", help="number of epochs (default: the paper's)")
    train.add_argument("--batch-size", type=int, metavar="N", help="sequences in a batch (default: the paper's)")
    train.add_argument("--seed", type=int, default=0, metavar="S", help="of weights, shuffling and the split (default 0)")
    train.add_argument("--out", metavar="DIR", help="folder for checkpoint, report and figures (default runs/RECIPE-seedS)")
    train.add_argument("--resume", action="store_true", help="go on with the training in --out")
    train.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="change an option of the recipe; repeatable")
    _common(train)
    train.set_defaults(run=_train)

    evaluate = commands.add_parser("evaluate", help="test accuracy of a checkpoint")
    evaluate.add_argument("checkpoint", help="a file that `numsnn train` wrote")
    evaluate.add_argument("--data", metavar="DIR", help="folder of the real data; without it synthetic data are made")
    evaluate.add_argument("--last", action="store_true", help="the weights of the last epoch instead of the best one")
    _common(evaluate)
    evaluate.set_defaults(run=_evaluate)

    energy = commands.add_parser("energy", help="operations and energy of a checkpoint beside LSTM, GRU and RNN of its size",
                                 description="Count the operations of a trained network on its test set, and set its energy beside that of others of its size.")
    energy.add_argument("checkpoint", help="a file that `numsnn train` wrote")
    energy.add_argument("--data", metavar="DIR", help="folder of the real data; without it synthetic data are made")
    energy.add_argument("--constants", default="fp32", metavar="SET", help="fp32 (default), int32, or pJ of a MAC and of an AC: 4.6,0.9")
    energy.add_argument("--out", metavar="PNG", help="where to draw (default energy.png beside the checkpoint)")
    energy.add_argument("--batch", type=int, default=64, metavar="N", help="sequences at a time (default 64)")
    energy.add_argument("--last", action="store_true", help="the weights of the last epoch instead of the best one")
    _common(energy)
    energy.set_defaults(run=_energy)

    recipes = commands.add_parser("recipes", help="list the recipes with their options")
    recipes.set_defaults(run=_recipes)

    warmup = commands.add_parser("warmup", help="compile ahead what recipes need",
                                 description="Compile what training and running recipes takes, so that later runs load it from the cache on disk.")
    warmup.add_argument("recipes", nargs="*", metavar="RECIPE", default=["srnn-ecg"], help="names that `numsnn recipes` lists (default srnn-ecg)")
    warmup.set_defaults(run=_warmup)

    bench = commands.add_parser("bench", help="times, memory and growth of training steps, and the machine's limits",
                                description="Time training steps, single steps and updates.  The method stands in numsnn/bench/__init__.py.")
    bench.add_argument("cases", nargs="*", metavar="CASE", help="shd, ecg, smnist, convliaf, convlif, lif, stream-ecg, stream-shd, decode, adam (default: shd ecg)")
    bench.add_argument("--all", action="store_true", help="every case, with growth and first calls")
    bench.add_argument("--growth", action="store_true", help="how times grow with T, B, N and the rate")
    bench.add_argument("--first", action="store_true", help="the first step in a new process, compiled and from the cache")
    bench.add_argument("--runs", type=int, default=15, metavar="N", help="timed runs of each (default 15)")
    bench.add_argument("--tiny", action="store_true", help="tiny sizes, to see that it runs")
    bench.add_argument("--peers", metavar="FILE", help="a Python file with steps of other libraries: PEERS = {name: function(case, problem)}")
    bench.add_argument("--json", metavar="FILE", help="where to write what was found")
    bench.add_argument("--out", metavar="PNG", help="where to draw the growth (default growth.png)")
    bench.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help='"cpu" (default) or "cuda", an NVIDIA GPU: shd, ecg, smnist, convliaf, convlif, lif, dense-lif, adam')
    bench.add_argument("--batch", type=int, nargs="+", default=[], metavar="B", help="numbers of samples in place of the cases' own")
    bench.add_argument("--threads", type=int, metavar="N", help="threads (default: all cores)")
    bench.set_defaults(run=_bench)

    convert = commands.add_parser("convert", help="write event recordings to one HDF5 file",
                                  description="Write a file of events, or a whole data set, to one HDF5 file that trains fast.")
    convert.add_argument("input", metavar="IN", help="a file of events, or the folder or zip archive of a data set")
    convert.add_argument("output", metavar="OUT.h5")
    what = convert.add_mutually_exclusive_group()
    what.add_argument("--dataset", metavar="NAME", help="what the folder is: nmnist, shd, dvs128-gesture, mnist ...; a wrong name lists them")
    what.add_argument("--format", metavar="NAME", help="what the file is, where it does not say itself: bin, bs2, aedat2, dat, evt3 ...")
    convert.add_argument("--part", default="train", help="train (default), test ...")
    convert.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="an option of the format or data set; repeatable")
    convert.add_argument("--skip-bad", action="store_true", help="skip and count bad parts instead of stopping at the first")
    convert.set_defaults(run=_convert)

    info = commands.add_parser("info", help="what a file holds: events, recordings, checkpoints, images, sound ...")
    info.add_argument("file")
    info.add_argument("--format", metavar="NAME", help="of an event file that does not say itself what it is")
    info.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="an option of the format; repeatable")
    info.add_argument("--recording", type=int, default=0, metavar="N", help="which one of a file that holds several (default 0)")
    info.add_argument("--plot", choices=("raster", "frames", "surface"), help="draw the events")
    info.add_argument("--out", metavar="PNG", help="where to draw (default FILE.raster.png ...)")
    info.set_defaults(run=_info)
    return parser


def _common(parser):
    parser.add_argument("--device", default="cpu", help='"cpu" (compiled, default), "cuda" (an NVIDIA GPU) or "reference" (NumPy only)')
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default: all cores); results do not depend on it")


def _threads(options):
    if options.threads is not None:
        from .devices.threads import set_num_threads
        set_num_threads(options.threads)


def _train(options):
    from . import recipes
    from .recipes import report
    from .training.train import fit
    recipe = recipes.get(options.recipe)
    settings = recipe.configured(_settings(options.set))
    about = _about(options, recipe, settings)
    _threads(options)
    out = Path(options.out or f"runs/{recipe.name}-seed{options.seed}")
    checkpoint = out / "checkpoint.h5"
    _claim(out, checkpoint, about, options.resume)
    _announce(options, recipe)
    data = recipe.data(options.data, options.seed, settings)
    net = recipe.network(settings | (recipe.sizes(data) if recipe.sizes else {}), options.seed, options.device)
    print(net.summary(), end="\n\n")
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(about, indent=1))
    history = fit(net, data.train, data.valid, loss=recipe.loss, optimizer=recipe.optimizer(settings), epochs=about["epochs_asked"],
                  batch_size=about["batch_size"], seed=options.seed, watch={"test": data.test}, checkpoint=checkpoint,
                  resume=options.resume, facts={"recipe": recipe.name, "options": settings}, **(recipe.fit or {}))
    print(report.write(out, recipe, net, history, data, about))
    print(f"\nwritten to {out}: " + ", ".join(sorted(p.name for p in out.iterdir() if not p.name.endswith(".part"))))


def _about(options, recipe, settings):
    """What the run is: enough to repeat it."""
    from . import __version__
    versions = {"numsnn": __version__, "python": platform.python_version(),
                **{name: version(name) for name in ("numpy", "numba", "scipy") if find_spec(name)}}
    epochs = recipe.epochs if options.epochs is None else options.epochs
    if epochs < 1:
        raise ValueError(f"--epochs must be at least 1; got {epochs}")
    return {"recipe": recipe.name, "options": settings, "seed": options.seed, "epochs_asked": epochs,
            "batch_size": recipe.batch_size if options.batch_size is None else options.batch_size,
            "data": None if options.data is None else str(Path(options.data).resolve()), "device": options.device,
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
        raise ValueError(f"{out} holds a training already; add --resume to go on with it, or choose another --out")
    config = out / "config.json"
    if not config.is_file():
        return
    before = json.loads(config.read_text())
    for key in ("recipe", "options", "seed", "batch_size", "data"):
        if before.get(key) != about[key]:
            raise ValueError(f"{out} was trained with {key} = {before.get(key)!r}, this command says {about[key]!r}; "
                             f"use the same, or another --out")


def _announce(options, recipe):
    from .devices import notice
    if options.data is None:
        print("NOTE: no --data given. The data are SYNTHETIC: made by a model, recorded from nobody. Accuracies say nothing about the\n"
              "real task; see data/README.md for where the real data come from.\n")
    if notice(options.device):
        print(notice(options.device), end="\n\n")


def _evaluate(options):
    from .training.train import evaluate
    print(evaluate(*_tested(options, "ns.evaluate")))


def _energy(options):
    from .energy import preset, table
    from .reports import plot
    constants, out = preset(options.constants), options.out or Path(options.checkpoint).with_name("energy.png")
    found = table(*_tested(options, "ns.energy.table"), constants=constants, batch_size=options.batch)
    print(found)
    print(f"\ndrawn to {plot.save(plot.energy(found), out)}")


def _tested(options, instead):
    """(network, test set) of a checkpoint; instead: what to use where the checkpoint does not tell its data."""
    from . import recipes
    from .files.checkpoint import describe, load
    _threads(options)
    training = describe(options.checkpoint)["training"]
    if not training or "recipe" not in training:
        raise ValueError(f"{options.checkpoint} was not written by `numsnn train`, so that its data are not known; use {instead}")
    net = load(options.checkpoint, which="last" if options.last else "best", device=options.device)
    if options.data is None:
        print("NOTE: no --data given. The data are SYNTHETIC.\n")
    data = recipes.get(training["recipe"]).data(options.data, training["seed"], training["options"])
    return net, data.test


def _recipes(options):
    from .recipes import RECIPES
    for recipe in RECIPES.values():
        print(f"{recipe.name}: {recipe.summary}\n    {recipe.epochs} epochs, batches of {recipe.batch_size}; {recipe.expected}\n"
              f"    options (--set): {', '.join(f'{k}={v}' for k, v in recipe.options.items())}")


def _bench(options):
    from . import bench
    _threads(options)
    if options.json is not None and not Path(options.json).resolve().parent.is_dir():
        raise ValueError(f"there is no folder {Path(options.json).resolve().parent}; make it first")
    if any(batch < 1 for batch in options.batch):
        raise ValueError(f"--batch takes positive numbers of samples; got {min(options.batch)}")
    names = bench.on_device(options.device) if options.all else options.cases or ["shd", "ecg"]
    found = bench.bench(names, runs=options.runs, tiny=options.tiny, peers=options.peers, growth=options.growth or options.all,
                        first=options.first or options.all, out=options.out or "growth.png", device=options.device,
                        batches=tuple(options.batch), say=partial(print, flush=True))
    if options.json is not None:
        Path(options.json).write_text(json.dumps(found, indent=1))


def _warmup(options):
    from . import recipes
    from .training import train
    for recipe in [recipes.get(name) for name in options.recipes]:
        settings = recipe.configured({})
        data = recipe.data(None, 0, settings)
        net = recipe.network(settings | (recipe.sizes(data) if recipe.sizes else {}), 0, "cpu")
        seconds = train.warm_up(net, data.train, loss=recipe.loss, optimizer=recipe.optimizer(settings), **(recipe.fit or {}))
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
    from . import formats
    from .datasets import Dataset, converted
    settings, out = _values(options.set), Path(options.output)
    if out.exists():
        raise ValueError(f"{out} exists already; remove it, or choose another name")
    if not out.parent.is_dir():
        raise ValueError(f"there is no folder {out.parent}; make it first")
    about = {"input": str(Path(options.input).resolve()), **settings}
    if options.dataset is None:
        if Path(options.input).is_dir():
            raise ValueError(f"{options.input} is a folder; say --dataset, one of {', '.join(_datasets())}")
        stream = formats.stream(options.input, options.format, strict=not options.skip_bad, **settings)
        n = converted.write_stream(out, stream, {**about, "format": stream.format})
        print(f"{n:,} events of {options.input} written to {out}" + _skipped(stream.problems.counts))
        return
    known = _datasets()
    if options.dataset not in known:
        raise ValueError(f"no data set {options.dataset!r}; there are {', '.join(known)}")
    if options.dataset == "fsdd":                       # sound becomes spikes on the way
        n = _made(partial(known["fsdd"], path=out), options, settings)
        print(f"{n:,} recordings of Free Spoken Digits written to {out} as spikes, in SHD layout")
        return
    found = _made(known[options.dataset], options, settings)
    about |= {"dataset": options.dataset, "part": options.part}
    if isinstance(found, Dataset):
        found.save(out, about)
        print(f"{len(found):,} sequences of {found.name} written to {out}")
        return
    before = converted.write(out, found, about, _Bar())
    print(f"{len(found.items):,} recordings of {found.name} written to {out}" + f"; {before:,} were there already" * bool(before))


def _datasets():
    """Name -> function(path, part, ...) that gives a Listing or a Dataset."""
    from .datasets import braille, cameras, mnist, qtdb, shd, speech
    return {**cameras.LISTINGS, **shd.LISTINGS, "qtdb-coded": qtdb.coded, "qtdb": qtdb.raw, "mnist": mnist.mnist,
            "fashion-mnist": mnist.fashion, "mnist-still": mnist.still,
            "braille": braille.braille, "fsdd": speech.fsdd_spikes, "speech-commands": speech.speech_commands}


def _made(make, options, settings):
    """The data set, with --part and --skip-bad where it knows them."""
    known = signature(make).parameters
    if "strict" in known:
        settings = {**settings, "strict": not options.skip_bad}
    wrong = [key for key in settings if key not in known and not any(p.kind == p.VAR_KEYWORD for p in known.values())]
    if wrong:
        raise ValueError(f"data set {options.dataset} has no option {wrong[0]!r}; it has {', '.join(list(known)[2:]) or 'none'}")
    try:
        return make(options.input, **({"part": options.part} if "part" in known else {}), **settings)
    except TypeError as error:
        raise ValueError(f"data set {options.dataset}: {error}") from error


def _skipped(counts):
    return "".join(f"\nSKIPPED: {n:,} x {what}" for what, n in counts.items())


class _Bar:
    """Progress of a conversion: a bar on a terminal, a line for each tenth elsewhere."""

    def __init__(self):
        self.live, self.tenth = sys.stderr.isatty(), -1

    def __call__(self, done, n, name):
        if self.live:
            filled = 24 * done // max(n, 1)
            sys.stderr.write(f"\r[{'#' * filled}{'.' * (24 - filled)}] {done}/{n} {name[-40:]}\033[K" + "\n" * (done == n))
        elif 10 * done // max(n, 1) > self.tenth:
            self.tenth = 10 * done // max(n, 1)
            sys.stderr.write(f"{done}/{n}\n")
        sys.stderr.flush()


def _info(options):
    from .reports import plot
    from .reports.describe import describe
    found = describe(options.file, options.format, recording=options.recording, **_values(options.set))
    print(found.text)
    if options.plot is None:
        return
    if found.events is None or not found.events.n_events:
        raise ValueError(f"{options.file} holds no events to draw")
    if options.plot != "raster" and len(found.events.shape) == 1:
        raise ValueError(f"--plot {options.plot} is for pixels; {options.file} has units, draw it with --plot raster")
    out = options.out or f"{Path(options.file).name}.{options.plot}.png"
    plot.save(plot.EVENT_PLOTS[options.plot](found.events, title=Path(options.file).name), out)
    print(f"drawn to {out}")
