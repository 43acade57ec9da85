"""What each command of numsnn does."""

from functools import partial
from pathlib import Path

from . import networks
from .converting import convert
from .exporting import export
from .settings import refuse_taken, values
from .sweeping import sweep
from .training import set_threads, sized, train


def _evaluate(options):
    from ..training.train import evaluate
    if options.report is None:
        _, net, test, _ = _tested(options, "ns.evaluate")
        print(evaluate(net, test))
        return
    from ..reports.writing import checked_folder, report
    from ..training.history import History
    folder = checked_folder(options.report)
    recipe, net, test, training = _tested(options, "ns.report")
    of = f"weights of the {'last' if options.last else 'best'} epoch in" if training else "the network of"
    history = History(training.get("history")) if training else None
    print(report(net, test, folder, history=history, title=recipe or Path(options.checkpoint).name,
                 intro=f"{of} {options.checkpoint}"))


def _diagnose(options):
    from ..recipes import RECIPES
    from ..training.diagnosis import diagnose
    recipe, net, test, _ = _tested(options, "ns.diagnose")
    loss = RECIPES[recipe].loss if recipe in RECIPES else None
    print(diagnose(net, test, loss=loss, samples=options.samples))


def _energy(options):
    from ..energy import preset, table
    from ..reports import plot
    constants = preset(options.constants)
    out = options.out or Path(options.checkpoint).with_name("energy.png")
    _, net, test, _ = _tested(options, "ns.energy.table")
    found = table(net, test, constants=constants, batch_size=options.batch)
    print(found)
    print(f"\ndrawn to {plot.save(plot.energy(found), out)}")


def _tested(options, instead):
    """(recipe, network, test set, training) of a checkpoint or NIR file.

    instead: what to use where nobody knows its data.
    """
    set_threads(options)
    net, training = networks.load(options, options.device)
    found = networks.data_of(options, training)
    if found is None:
        raise ValueError(f"{options.checkpoint} was not written by `numsnn train`, so that its data are not "
                         f"known; add --recipe NAME or --data FILE.h5, or use {instead}")
    recipe, _, test = found
    if options.data is None:
        print("NOTE: no --data given. The data are SYNTHETIC.\n")
    return recipe, net if training else networks.answering(net, test), test, training


def _recipes(options):
    from ..recipes import RECIPES
    for recipe in RECIPES.values():
        settings = ", ".join(f"{option}={default}" for option, default in recipe.options.items())
        print(f"{recipe.name}: {recipe.summary}\n"
              f"    {recipe.epochs} epochs, batches of {recipe.batch_size}; {recipe.expected}\n"
              f"    options (--set): {settings}")


def _models(options):
    from .. import models
    for name, about in models.table().items():
        rates = ", ".join(f"{layer} {rate:.3f}" for layer, rate in about.spikes.items())
        print(f"{name}: {about.task}; {about.network}, {about.parameters:,} parameters\n"
              f"    test accuracy {about.test_accuracy:.4f}, with 8 bits {about.int8_accuracy:.4f}, with 4 "
              f"{about.int4_accuracy:.4f}; {about.constants:,} bytes of constants; "
              f"{about.energy:.3g} nJ a step"
              f"{f'; spikes per neuron and step: {rates}' if rates else ''}\n"
              f"    made by: {about.command}")
    print('\nin Python: numsnn.models.load(NAME); its file, for other commands: numsnn.models.path(NAME)')


def _bench(options):
    from .. import bench
    from ..formats.whole import writable, write_json
    set_threads(options)
    if options.json is not None:
        writable(options.json)
    if any(batch < 1 for batch in options.batch):
        raise ValueError(f"--batch takes positive numbers of samples; got {min(options.batch)}")
    names = bench.on_device(options.device) if options.all else options.cases or ["shd", "ecg"]
    found = bench.bench(names, runs=options.runs, tiny=options.tiny, peers=options.peers,
                        growth=options.growth or options.all, first=options.first or options.all,
                        out=options.out or "growth.png", device=options.device,
                        batches=tuple(options.batch), say=partial(print, flush=True))
    if options.json is not None:
        write_json(options.json, found)


def _warmup(options):
    from .. import recipes
    from ..training import train
    for recipe in [recipes.get(name) for name in options.recipes]:
        settings = recipe.configured({})
        data = recipe.data(None, 0, settings)
        net = recipe.network(sized(recipe, settings, data), 0, "cpu")
        seconds = train.warm_up(net, data.train, loss=recipe.loss, optimizer=recipe.optimizer(settings),
                                **recipe.further(settings))
        print(f"{recipe.name}: {seconds:.1f} s")


def _info(options):
    from ..reports import plot
    from ..reports.describe import describe
    settings = values(options.set)
    refuse_taken(settings, "path", format="say --format", recording="say --recording")
    found = describe(options.file, options.format, recording=options.recording, **settings)
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


def _guide(options):
    from .. import guide
    if options.page is None:
        print(guide.contents())
        print("\nnumsnn guide PAGE shows one; read start first.")
        return
    print(guide.page(options.page), end="")


COMMANDS = {"train": train, "evaluate": _evaluate, "diagnose": _diagnose, "energy": _energy,
            "sweep": sweep, "recipes": _recipes, "models": _models, "warmup": _warmup, "bench": _bench,
            "convert": convert, "info": _info, "export": export, "guide": _guide}
