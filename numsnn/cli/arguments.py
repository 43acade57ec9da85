"""What the command line takes: the commands of numsnn and their arguments."""

import argparse

from .. import __version__


def parser() -> argparse.ArgumentParser:
    """The parser of the program; `command` of what it gives is the name of the command."""
    about = "Spiking neural networks with hand-written backpropagation through time."
    program = argparse.ArgumentParser("numsnn", description=about)
    program.add_argument("--version", action="version", version=f"numsnn {__version__}")
    commands = program.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(commands)
    _add_evaluate(commands)
    _add_diagnose(commands)
    _add_energy(commands)
    _add_sweep(commands)
    _add_recipes(commands)
    commands.add_parser("models", help="list the trained networks that are installed with numsnn")
    _add_warmup(commands)
    _add_bench(commands)
    _add_convert(commands)
    _add_info(commands)
    _add_export(commands)
    _add_guide(commands)
    return program


# ---- the arguments of each command


def _add_train(commands):
    train = commands.add_parser("train", help="train a recipe, then write a report")
    add = train.add_argument
    add("recipe", help="a name that `numsnn recipes` lists")
    _add_data(train)
    _add_schedule(train)
    add("--seed", type=int, default=0, metavar="S", help="of weights, shuffling and the split (default 0)")
    add("--out", metavar="DIR", help="folder for checkpoint, report and figures (default runs/RECIPE-seedS)")
    add("--resume", action="store_true", help="go on with the training in --out")
    _add_set(train, "change an option of the recipe; repeatable")
    _add_device(train)
    add("--mpi", action="store_true",
        help="the ranks of mpiexec work on each batch together (needs mpi4py): mpiexec -n 4 numsnn train ...")
    add("--sums", choices=("exact", "fast"),
        help="how they add gradients: the same bytes for any number of ranks (exact, default), or faster")


def _add_sweep(commands):
    sweep = commands.add_parser(
        "sweep", help="train a recipe over seeds and settings, several at a time",
        description="Every combination of the values of --set, with every seed: each a training in a folder "
                    "and a process of its own.  Started again it keeps what is finished and goes on with "
                    "what is not.  A table and a picture at the end.")
    add = sweep.add_argument
    add("recipe", help="a name that `numsnn recipes` lists")
    _add_data(sweep)
    add("--seeds", default="0-2", metavar="SEEDS", help="such as 0-9 or 0,3,5-7 (default 0-2)")
    add("--set", action="append", default=[], metavar="OPTION=VALUE,VALUE",
        help="values of an option of the recipe; repeatable")
    _add_schedule(sweep)
    add("--out", metavar="DIR", help="folder of the sweep (default runs/RECIPE-sweep)")
    add("--processes", type=int, metavar="N", help="trainings at a time (default: one a core)")
    add("--mpi", action="store_true", help="the ranks of mpiexec run the trainings (needs mpi4py)")
    _add_device(sweep)


def _add_evaluate(commands):
    evaluate = commands.add_parser("evaluate", help="test accuracy of a checkpoint, or a whole report")
    _add_checkpoint(evaluate)
    _add_data(evaluate)
    evaluate.add_argument("--report", metavar="FOLDER",
                          help="write pictures, numbers and a page that shows them (report.md) to a folder")
    _add_last(evaluate)
    _add_device(evaluate)


def _add_diagnose(commands):
    diagnose = commands.add_parser(
        "diagnose", help="what a checkpoint does on its test data, and what keeps it from learning")
    _add_checkpoint(diagnose)
    _add_data(diagnose)
    diagnose.add_argument("--samples", type=int, default=32, metavar="N", help="sequences (default 32)")
    _add_last(diagnose)
    _add_device(diagnose)


def _add_energy(commands):
    energy = commands.add_parser(
        "energy", help="operations and energy of a checkpoint beside LSTM, GRU and RNN of its size",
        description="Count the operations of a trained network on its test set, and set its energy beside "
                    "that of others of its size.")
    add = energy.add_argument
    _add_checkpoint(energy)
    _add_data(energy)
    add("--constants", default="fp32", metavar="SET",
        help="fp32 (default), int32, or pJ of a MAC and of an AC: 4.6,0.9")
    add("--out", metavar="PNG", help="where to draw (default energy.png beside the checkpoint)")
    add("--batch", type=int, default=64, metavar="N", help="sequences at a time (default 64)")
    _add_last(energy)
    _add_device(energy)


def _add_recipes(commands):
    commands.add_parser("recipes", help="list the recipes with their options")


def _add_warmup(commands):
    warmup = commands.add_parser(
        "warmup", help="compile ahead what recipes need",
        description="Compile what training and running recipes takes, so that later runs load it from the "
                    "cache on disk.")
    warmup.add_argument("recipes", nargs="*", metavar="RECIPE", default=["srnn-ecg"],
                        help="names that `numsnn recipes` lists (default srnn-ecg)")


def _add_bench(commands):
    bench = commands.add_parser(
        "bench", help="times, memory and growth of training steps, and the machine's limits",
        description="Time training steps, single steps and updates.  The method stands in "
                    "numsnn/bench/__init__.py.")
    add = bench.add_argument
    add("cases", nargs="*", metavar="CASE",
        help="shd, ecg, smnist, convliaf, convlif, run-shd, run-ecg, run-smnist, one-shd, one-ecg, lif, "
             "stream-ecg, stream-shd, decode, adam (default: shd ecg)")
    add("--all", action="store_true", help="every case, with growth and first calls")
    add("--growth", action="store_true", help="how times grow with T, B, N and the rate")
    add("--first", action="store_true", help="the first step in a new process, compiled and from the cache")
    add("--runs", type=int, default=15, metavar="N", help="timed runs of each (default 15)")
    add("--tiny", action="store_true", help="tiny sizes, to see that it runs")
    add("--peers", metavar="FILE",
        help="a Python file with steps of other libraries: PEERS = {name: function(case, problem)}")
    add("--json", metavar="FILE", help="where to write what was found")
    add("--out", metavar="PNG", help="where to draw the growth (default growth.png)")
    add("--device", default="cpu", choices=("cpu", "cuda"),
        help='"cpu" (default) or "cuda", an NVIDIA GPU: '
             "shd, ecg, smnist, convliaf, convlif, run-shd, run-ecg, run-smnist, lif, dense-lif, adam")
    add("--batch", type=int, nargs="+", default=[], metavar="B",
        help="numbers of samples in place of the cases' own")
    add("--threads", type=int, metavar="N", help="threads (default: all cores)")


def _add_convert(commands):
    convert = commands.add_parser(
        "convert", help="write event recordings to one HDF5 file; a checkpoint as NIR, or back",
        description="Write a file of events, or a whole data set, to one HDF5 file that trains fast; a "
                    "checkpoint to a NIR file, or a NIR file to a checkpoint.")
    add = convert.add_argument
    add("input", metavar="IN", help="a file of events, a folder or zip archive of recordings, or that of a "
                                    "data set; a checkpoint or NIR file")
    add("output", metavar="OUT", help="OUT.h5; of a checkpoint OUT.nir")
    add_either = convert.add_mutually_exclusive_group().add_argument
    add_either("--dataset", metavar="NAME",
               help="what the folder is: nmnist, shd, dvs128-gesture, mnist ...; a wrong name lists them")
    add_either("--format", metavar="NAME",
               help="what the file is, where it does not say itself: bin, bs2, aedat2, dat, evt3 ...")
    add("--part", help="of a data set: train (default), test ...")
    add("--pattern", metavar="PATTERN",
        help="where the label stands in the paths of a folder's files (default {label}/*): "
             "'{label}/*.csv', '{label}_{group}_*.wav'")
    add("--columns", metavar="NAMES",
        help="the files of a folder are tables of signals; of these columns, between commas, or all")
    _add_set(convert, "an option of the format or data set; repeatable")
    add("--skip-bad", action="store_true", help="skip and count bad parts instead of stopping at the first")


def _add_info(commands):
    info = commands.add_parser(
        "info", help="what a file holds: events, recordings, checkpoints, images, sound ...")
    add = info.add_argument
    add("file", help="a file, or a folder")
    add("--format", metavar="NAME", help="of an event file that does not say itself what it is")
    _add_set(info, "an option of the format; repeatable")
    add("--recording", type=int, default=0, metavar="N",
        help="which one of a file that holds several (default 0)")
    add("--plot", choices=("raster", "frames", "surface"), help="draw the events")
    add("--out", metavar="PNG", help="where to draw (default FILE.raster.png ...)")


def _add_export(commands):
    export = commands.add_parser(
        "export", help="write a checkpoint as C, in floats or in whole numbers",
        description="Write a trained network as C99 without dependencies, and the test that it computes what "
                    "the network does (make -C OUT test).")
    add = export.add_argument
    _add_checkpoint(export)
    add("out", metavar="OUT", help="folder for NAME.h, NAME.c, NAME_test.c, Makefile")
    add("--name", default="net", metavar="NAME", help="first part of all names in C (default net)")
    add("--numbers", default="float32", choices=("float32", "int8", "q15"),
        help="float32 (default), int8 (8-bit weights, 16-bit states) or q15 (16 bits)")
    _add_data(export)
    _add_last(export)


# ---- arguments that several commands share


def _add_guide(commands):
    guide = commands.add_parser("guide", help="the documentation: its pages, or one of them")
    guide.add_argument("page", nargs="?", help="a name that `numsnn guide` lists")


def _add_checkpoint(command):
    command.add_argument("checkpoint", help="a file that `numsnn train` wrote, or a NIR file")
    command.add_argument("--recipe", metavar="NAME",
                         help="whose data they are, where the file does not say it; "
                              "or --data FILE.h5, a data set that `numsnn convert` wrote")
    _add_set(command, "of a NIR file: dt (seconds), integrator, reset, reset_when; repeatable")


def _add_schedule(command):
    add = command.add_argument
    add("--epochs", type=int, metavar="N", help="number of epochs (default: the recipe's)")
    add("--batch-size", type=int, metavar="N", help="sequences in a batch (default: the recipe's)")
    add("--published", action="store_true",
        help="the authors' training, where the recipe has a shorter one of its own")


def _add_data(command):
    command.add_argument("--data", metavar="DIR",
                         help="folder of the real data; without it synthetic data are made")


def _add_last(command):
    command.add_argument("--last", action="store_true",
                         help="the weights of the last epoch instead of the best one")


def _add_set(command, what):
    command.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help=what)


def _add_device(command):
    command.add_argument("--device", default="cpu",
                         help='"cpu" (compiled, default), "cuda" (an NVIDIA GPU) or "reference" (NumPy only)')
    command.add_argument("--threads", type=int, metavar="N",
                         help="threads (default: all cores); results do not depend on it")
