"""Random calls of everything public, most of them wrong in one or two arguments, and what comes of them.

    name, call = random_call(seed, i, folder)       always the same for a seed and a number
    verdict(call)                                   "answered", "refused" or what is wrong with it

A call may answer, with finite numbers, or refuse with a sentence of ours: ValueError, TypeError, KeyError, an
error class of ours, an OSError that names a file, Python's own words for arguments that do not bind.  What a
network answers on the CPU must be what it answers on the reference device, refusals included.
"""

import ast
import copy
import inspect
import types
import warnings
from functools import cached_property, lru_cache
from importlib import import_module
from pathlib import Path

import numpy as np
from good_arguments import GOOD

import numsnn as ns

PACKAGE = Path(ns.__file__).parent
ROOMS = tuple("""numsnn numsnn.layers numsnn.loss numsnn.optim numsnn.rules numsnn.neurons.surrogate
    numsnn.signals.encode numsnn.signals.audio numsnn.signals.events numsnn.datasets numsnn.formats
    numsnn.energy
    numsnn.training.metrics numsnn.training.init numsnn.training.regularise numsnn.reports.plot
    numsnn.reports.describe numsnn.datasets.babi numsnn.datasets.braille numsnn.datasets.cameras
    numsnn.datasets.converted numsnn.datasets.mnist numsnn.datasets.qtdb numsnn.datasets.recordings
    numsnn.datasets.saved numsnn.datasets.shd numsnn.datasets.speech numsnn.datasets.stand_in
    numsnn.datasets.synthetic numsnn.datasets.synthetic_gestures numsnn.formats.idx numsnn.formats.wav
    numsnn.formats.wfdb numsnn.formats.babi""".split())  # noqa: SIM905
# what is handed values by the library, never by a user; what changes the process for every later call
INNER = {"styled", "figure", "raster", "membrane", "label_bands", "set_num_threads", "framed", "Framing",
         "Layer", "Block", "Loss", "Optimizer", "Schedule", "Regulariser", "Sequences", "write_stream",
         "elementwise", "Surrogate", "Population", "heaviside", "adam", "adamax", "sgd", "nesterov_sgd"}
METHODS = {
    "net": "run step forward backward loss_and_gradients memory summary initial_state clone restore "
           "from_config require_causal sent",
    "params": "__setitem__ __getitem__",
    "data": "select __getitem__ shuffled split folds hold_out batches save",
    "spikes": "__getitem__ select repeated dense from_dense join",
    "events": "keep __getitem__ concatenate slice shifted pool downscale crop polarity mirrored flat dropped "
              "jittered moved steps bin rows frames sorted",
    "flat_events": "keep slice shifted pool moved bin",
    "optimizer": "update rate", "sgd": "update", "schedule": "__call__",
    "eprop": "step gradients reset", "ottt": "step gradients reset", "fptt": "gradients",
    "loss": "__call__ check", "mse": "__call__", "count": "__call__",
    "history": "best save __getitem__", "evaluation": "__str__"}
ERRORS = (ValueError, TypeError, KeyError, ns.TrainingDiverged, ns.GradientError)
BINDING = ("unexpected keyword argument", "positional argument", "required keyword-only argument",
           "multiple values for argument", "must be a mapping")


def network(device="reference"):
    return ns.Network(ns.Dense(4, 8), ns.LIF(8), ns.Dense(8, 3), ns.LI(3), ns.OverTime("mean"), device=device)


class Things:
    """What good arguments are made of; drawn anew for each call, because a call may change them."""

    def __init__(self, rng, folder):
        self.rng, self.folder = rng, folder

    device = "reference"

    @cached_property
    def net(self):
        return network(self.device)

    @property
    def params(self):
        return self.net.params

    @cached_property
    def x(self):
        return self.rng.normal(0, 2, (6, 5, 4)).astype("f4")

    @cached_property
    def labels(self):
        return self.rng.integers(0, 3, 5)

    @cached_property
    def data(self):
        return ns.Dataset(self.rng.normal(0, 1, (6, 9, 4)).astype("f4"), np.arange(9) % 3, name="some",
                          groups=np.arange(9) // 3, classes="abc")

    @cached_property
    def spikes(self):
        return ns.Spikes.from_dense(self.rng.random((6, 5, 4)) < 0.3)

    @cached_property
    def events(self):
        n = 40
        x, y, p = (self.rng.integers(0, most, n) for most in (16, 12, 2))
        t = np.sort(self.rng.integers(0, 10_000, n))
        return ns.Events(t, x=x, y=y, p=p, shape=(2, 12, 16))

    @cached_property
    def flat_events(self):
        return ns.Events(np.arange(30) * 100, self.rng.integers(0, 20, 30), shape=(20,))

    @cached_property
    def history(self):
        return ns.History([{"epoch": e, "loss": 1 / (e + 1), "valid_accuracy": 0.1 * e, "projected": 0,
                            "seconds": 1.0} for e in range(3)])

    @cached_property
    def forward(self):
        return self.net.forward(self.x)

    @cached_property
    def streaming(self):
        """A network that answers each step, as all rules serve it."""
        layers = ns.Dense(4, 8), ns.LIF(8), ns.Dense(8, 3), ns.LI(3)
        return ns.Network(*layers, device=self.device)

    @cached_property
    def eprop(self):
        return ns.rules.EProp(self.streaming, batch=5)

    @cached_property
    def ottt(self):
        return ns.rules.OTTT(self.streaming, batch=5)

    @cached_property
    def fptt(self):
        return ns.rules.FPTT(self.net.params)

    @cached_property
    def grads(self):
        return {name: np.full_like(p, 0.1) for name, p in self.net.params.items()}

    @cached_property
    def signal(self):
        return np.sin(np.arange(2000) / 9).astype("f4")

    optimizer = cached_property(lambda self: ns.optim.Adam(0.01))
    sgd = cached_property(lambda self: ns.optim.SGD(0.01, momentum=0.9, clip_norm=1.0))
    schedule = cached_property(lambda self: ns.optim.WarmUp(3, ns.optim.Cosine(10)))
    loss = cached_property(lambda self: ns.loss.CrossEntropy())
    mse = cached_property(lambda self: ns.loss.MSE())
    count = cached_property(lambda self: ns.loss.SpikeCount(3, 1))
    evaluation = cached_property(lambda self: ns.evaluate(self.net, self.data))
    path = cached_property(lambda self: self.folder / f"new{self.rng.integers(1 << 30)}.h5")


# ---- what is wrong


def nothing(*arguments):
    """A function where none belongs, or one that gives nothing."""


def failing(*arguments, **more):
    raise ValueError("a function of the user's, which fails")


PLAIN = (
    None, True, False, -1, 0, 1, 2, 7, 1 << 31, 1 << 63, -(1 << 63), 0.5, -0.5, 2.7, 1e300, -1e300,
    float("nan"), float("inf"), 1j, "", "x", "lif0", "train", b"abc", (), [], {}, {"a": 1}, {1: 2}, (1,
    "a"), [1, 2], [[1, 2], [3]], ("uniform", 0, 1), [None], slice(None), slice(0, 2, 2), range(3),
    object(), int, np.float32(0.5), np.int64(3), np.uint8(200), np.bool_(True), len, nothing, failing,
    Path("no/such/file"), np.zeros(0), np.zeros((0, 3, 4)), np.zeros((6, 0, 4)), np.zeros((6, 5, 0)),
    np.ones((6, 5, 4), bool), np.ones((6, 4), "f4"), np.ones((6, 5, 4, 1)), np.full((6, 5, 4), np.nan),
    np.full((6, 5, 4), 1e300), np.array("x"), np.array([None, 1]), np.array(["a", "b"]), np.ones(3,
    complex), np.arange(5, dtype="u1"), np.array(3), np.ones((3, 3)))
SUBJECTS = ("net", "data", "spikes", "events", "optimizer", "loss", "history", "x", "labels", "grads")


def wrong(good, rng, things):
    """Something else in place of a good argument: a distorted one, or anything."""
    kind = rng.random()
    if kind < 0.45 and isinstance(good, np.ndarray):
        return distorted(good, rng)
    if kind < 0.5 and isinstance(good, dict) and good:
        return of_dict(good, rng, things)
    if kind < 0.6 and isinstance(good, tuple) and good:
        changed = list(good)
        changed[rng.integers(len(good))] = PLAIN[rng.integers(len(PLAIN))]
        return tuple(changed)
    if kind < 0.9:
        return PLAIN[rng.integers(len(PLAIN))]
    return getattr(things, SUBJECTS[rng.integers(len(SUBJECTS))])


def of_dict(good, rng, things):
    """A dict with another value, without one, or with one more."""
    changed = dict(good)
    key = list(good)[rng.integers(len(good))]
    what = rng.integers(3)
    if what == 0:
        changed[key] = wrong(good[key], rng, things)
    elif what == 1:
        del changed[key]
    else:
        changed["other"] = good[key]
    return changed


WAYS = ("a.T", "a[..., :1]", "a[:-1]", "a[None]", "a[..., None]", "a[:0]", "a.ravel()", "a.reshape(-1, 1)",
        "np.asfortranarray(a)", "a[::-1]", "np.repeat(a, 2, -1)[..., ::2]", "np.repeat(a, 2, 0)",
        "a.astype('f8')", "a.astype('f2')", "a.astype('i1')", "a.astype('u1')", "a.astype(bool)",
        "a.astype(complex)", "a.astype(object)", "a.astype(str)", "a.tolist()", "a * np.nan", "a * 1e38 * 10",
        "a.astype('f8') * 1e300", "-a", "np.ma.masked_array(a, a > 0)", "a.astype(a.dtype.newbyteorder())",
        "frozen(a)", "a[0] if a.ndim else a", "a.astype('u8') - 1", "a.astype('g')", "a + 1000")


def distorted(a, rng):
    """An array of another shape, type, order or content."""
    way = WAYS[rng.integers(len(WAYS))]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return eval(way, {"a": a, "np": np, "frozen": frozen})
        except (TypeError, ValueError, OverflowError):      # of truth values and texts not all can be done
            return a[..., :1]


def frozen(a):
    a = a.copy()
    a.flags.writeable = False
    return a


# ---- calls


@lru_cache(1)
def functions():
    """(name, function or class, name of the subject whose method it is or None), in a fixed order."""
    found = {}
    for room in ROOMS:
        module = import_module(room)
        names = getattr(module, "__all__", None) or [
            name for name, o in vars(module).items() if getattr(o, "__module__", None) == room]
        for name in sorted(names):
            o = getattr(module, name)
            is_class = isinstance(o, type)
            record = is_class and (issubclass(o, (tuple, Exception)) or getattr(o, "__match_args__", ()))
            is_ours = str(getattr(o, "__module__", "")).startswith("numsnn")
            inner = name.startswith("_") or name in INNER or room.endswith("surrogate") and "_" in name
            if callable(o) and is_ours and not record and not inner and not isinstance(o, types.ModuleType):
                found.setdefault(id(o), (f"{room}.{name}", o, None))
    calls = list(found.values())
    for subject, methods in METHODS.items():
        calls += [(f"{subject}.{method}", None, subject) for method in methods.split()]
    return calls


def random_call(seed, i, folder):
    """(description, function without arguments, whether it is compared with the CPU)."""
    rng = np.random.default_rng([seed, i])
    name, function, subject = functions()[rng.integers(len(functions()))]
    things = Things(rng, folder)
    of = name.rpartition(".")[2]
    if subject is not None:
        function = getattr(getattr(things, subject), of)
    args, kwargs = arguments(function, of, rng, things)
    shown = [short(a) for a in args] + [f"{k}={short(a)}" for k, a in kwargs.items()]
    call = lambda: function(*args, **kwargs)
    if subject != "net" or of not in ("run", "step", "forward", "loss_and_gradients"):
        return f"{name}({', '.join(shown)})", call
    other = getattr(network("cpu"), of)
    on_cpu = lambda: other(*copy.deepcopy(args), **copy.deepcopy(kwargs))
    return f"{name}({', '.join(shown)})", lambda: compared(call, on_cpu)


def arguments(function, of, rng, things):
    """Good arguments, of which none, one or two are changed."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:
        parameters = []
    args, kwargs, chosen = [], {}, []
    for p in parameters:
        required = p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        if required or p.kind == p.VAR_POSITIONAL or rng.random() < 0.4:
            good = GOOD.get(f"{of}.{p.name}") or GOOD.get(p.name)
            usual = None if p.default is p.empty else p.default
            value = good(things) if good else usual
            chosen.append((p, value))
    n_wrong = min(rng.integers(3), len(chosen))
    for j in rng.permutation(len(chosen))[:n_wrong]:
        p, value = chosen[j]
        chosen[j] = p, wrong(value, rng, things)
    by_place = True
    for p, value in chosen:
        if p.kind == p.VAR_POSITIONAL:
            args += value if isinstance(value, (tuple, list)) else [value]
        elif p.kind == p.VAR_KEYWORD:
            kwargs |= value if isinstance(value, dict) and all(isinstance(k, str) for k in value) else {}
        elif p.kind == p.KEYWORD_ONLY or not by_place or p.default is not p.empty:
            by_place = False
            kwargs[p.name] = value
        else:
            args.append(value)
    return args, kwargs


def short(a):
    """An argument in a few words."""
    if isinstance(a, np.ndarray):
        return f"{a.dtype}{list(a.shape)}"
    text = repr(a).replace("\n", " ")
    return text if len(text) < 60 else f"{text[:50]}... ({type(a).__name__})"


def compared(call, on_cpu):
    """The answer of a call, where the CPU's loops answer the same: the same bits, or refuse as well."""
    mine, other = outcome(call), outcome(on_cpu)
    refused = isinstance(mine, Exception), isinstance(other, Exception)
    assert refused[0] == refused[1], f"reference: {short(mine)}; CPU: {short(other)}"
    if isinstance(mine, Exception):
        raise mine
    a, b = (o[0] if isinstance(o, tuple) else o for o in (mine, other))
    assert np.array_equal(a, b) or np.allclose(a, b, 1e-5, 1e-6), "the CPU answers other numbers"
    return mine


def outcome(call):
    try:
        return call()
    except ERRORS as error:
        return error


# ---- verdicts


def verdict(call):
    """answered, refused, or, in words, the fault."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            result = call()
            if isinstance(result, types.GeneratorType):
                result = list(zip(range(3), result, strict=False))
    except ERRORS as error:
        return "refused" if is_a_sentence(error) else f"{type(error).__name__} not of ours: {where(error)}"
    except OSError as error:
        said = error.filename is not None or is_a_sentence(error)
        return "refused" if said else f"{type(error).__name__}: {where(error)}"
    except Exception as error:      # noqa: BLE001  what else there is is the fault that is looked for
        return f"{type(error).__name__}: {where(error)}"
    return "answered" if finite(result) else "answered with numbers that are none"


def is_a_sentence(error):
    """Whether we raised it, with some words; or Python, because arguments do not bind."""
    text = str(error)
    if any(words in text for words in BINDING):
        return True
    file, line = innermost(error)
    return len(text.split()) >= 3 and (PACKAGE not in Path(file).parents or raises(file, line))


def innermost(error):
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename, trace.tb_lineno


def where(error):
    file, line = innermost(error)
    return f"{Path(file).name}:{line}: {' '.join(str(error).split())[:110]}"


@lru_cache(None)
def raise_lines(file):
    tree = ast.parse(Path(file).read_text())
    raising = [node for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    return {line for node in raising for line in range(node.lineno, node.end_lineno + 1)}


def raises(file, line):
    return line in raise_lines(file)


def finite(result):
    """Whether all arrays and numbers of an answer are finite."""
    if isinstance(result, np.ndarray):
        return result.dtype.kind != "f" or bool(np.isfinite(result).all())
    if isinstance(result, dict):
        return all(map(finite, result.values()))
    if isinstance(result, (tuple, list)):
        return all(map(finite, result))
    return not isinstance(result, float) or bool(np.isfinite(result))
