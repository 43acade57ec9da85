"""The command line: numsnn train, evaluate, recipes, info."""

import argparse
import json
import os
import platform
import sys
from importlib.metadata import version
from importlib.util import find_spec
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

    recipes = commands.add_parser("recipes", help="list the recipes with their options")
    recipes.set_defaults(run=_recipes)

    info = commands.add_parser("info", help="what a checkpoint holds")
    info.add_argument("file")
    info.set_defaults(run=_info)
    return parser


def _common(parser):
    parser.add_argument("--device", default="cpu", help='"cpu" (compiled, default) or "reference" (NumPy only)')
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default: all cores); results do not depend on it")


def _threads(options):
    if options.threads is not None:
        from .loops.threads import set_num_threads
        set_num_threads(options.threads)


def _train(options):
    from . import recipes, report
    from .train import fit
    recipe = recipes.get(options.recipe)
    settings = recipe.configured(_settings(options.set))
    about = _about(options, recipe, settings)
    _threads(options)
    out = Path(options.out or f"runs/{recipe.name}-seed{options.seed}")
    checkpoint = out / "checkpoint.h5"
    _claim(out, checkpoint, about, options.resume)
    net = recipe.network(settings, options.seed, options.device)
    _announce(options, recipe)
    data = recipe.data(options.data, options.seed)
    print(net.summary(), end="\n\n")
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(about, indent=1))
    history = fit(net, data.train, data.valid, loss=recipe.loss, optimizer=recipe.optimizer(settings), epochs=about["epochs_asked"],
                  batch_size=about["batch_size"], seed=options.seed, watch={"test": data.test}, checkpoint=checkpoint,
                  resume=options.resume, facts={"recipe": recipe.name, "options": settings})
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
    from .loops import notice
    if options.data is None:
        print("NOTE: no --data given. The data are SYNTHETIC: made by a model, recorded from nobody. Accuracies say nothing about the\n"
              "real task; see data/README.md for where the real data come from.\n")
    if notice(options.device):
        print(notice(options.device), end="\n\n")


def _evaluate(options):
    from . import recipes
    from .io.checkpoint import describe, load
    from .train import evaluate
    _threads(options)
    training = describe(options.checkpoint)["training"]
    if not training or "recipe" not in training:
        raise ValueError(f"{options.checkpoint} was not written by `numsnn train`, so that its data are not known; use ns.evaluate")
    net = load(options.checkpoint, which="last" if options.last else "best", device=options.device)
    if options.data is None:
        print("NOTE: no --data given. The data are SYNTHETIC.\n")
    data = recipes.get(training["recipe"]).data(options.data, training["seed"])
    print(evaluate(net, data.test))


def _recipes(options):
    from .recipes import RECIPES
    for recipe in RECIPES.values():
        print(f"{recipe.name}: {recipe.summary}\n    {recipe.epochs} epochs, batches of {recipe.batch_size}; {recipe.expected}\n"
              f"    options (--set): {', '.join(f'{k}={v}' for k, v in recipe.options.items())}")


def _info(options):
    from .io.checkpoint import describe, load
    facts = describe(options.file)
    net = load(options.file, device="reference")
    print(f"{options.file}: {os.path.getsize(options.file):,} bytes, written by numsnn {facts['numsnn_version']}\n\n{net.summary()}")
    training = facts["training"]
    if training:
        history = training.get("history", [])
        print(f"\ntraining of recipe {training.get('recipe', '(none)')}: epoch {training['epoch'] + 1} done, seed {training['seed']}, "
              f"{training['optimizer']['optimizer']} lr {training['optimizer']['lr']}")
        if history:
            print("last epoch: " + ", ".join(f"{k} {v:.4g}" for k, v in history[-1].items()))
