"""The house polices itself: the dialect, docstrings, signatures."""

import ast
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import numsnn as ns
from numsnn.neurons import NEURONS
from numsnn.neurons.elementwise import ELEMENTWISE

ROOT = Path(ns.__file__).parent
FORBIDDEN = (
    ast.For, ast.While, ast.If, ast.IfExp, ast.Subscript, ast.Lambda, ast.ListComp, ast.GeneratorExp,
    ast.Compare, ast.BoolOp, ast.Try, ast.With, ast.Raise, ast.Assert, ast.Pow,
)


def test_elementwise_functions_are_arithmetic_only():
    """No loop, branch, index, comparison, number or foreign function: what every target and SIMD can run."""
    assert len(ELEMENTWISE) > 30
    for function in ELEMENTWISE:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        for node in ast.walk(ast.Module(tree.body, [])):
            found = f"{function.__qualname__}: {ast.unparse(node)}"
            assert not isinstance(node, FORBIDDEN), found
            if isinstance(node, ast.Constant):
                assert isinstance(node.value, str), f"{found}: this number widens float32; name it"
            if isinstance(node, ast.Attribute):
                assert getattr(node.value, "id", None) not in ("np", "math", "scipy"), found


def test_no_fastmath():
    """Fast-math makes our exp wrong and costs the equality with NumPy."""
    for path in ROOT.rglob("*.py"):
        assert "fastmath=" not in path.read_text(), path


def public():
    """(name, object) of what numsnn hands out."""
    for name in sorted(ns.__all__):
        thing = getattr(ns, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            yield name, thing


def test_public_things_have_docstrings():
    found = dict(public())
    assert len(found) > 12
    for name, thing in found.items():
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            check_methods(name, thing)


def check_methods(name, cls):
    """Each public method has a docstring, or is one of a base class."""
    for key, method in vars(cls).items():
        if inspect.isfunction(method) and not key.startswith("_"):
            inherited = any(hasattr(base, key) for base in cls.__mro__[1:])
            assert inspect.getdoc(method) or inherited, f"{name}.{key}"


def test_the_docstrings_of_layers_name_every_argument():
    """What `help(ns.ALIF)` shows as arguments is explained, in the class or in Population."""
    for name in ("ALIF", "LIF", "LI", "Dense", "OverTime", "Network"):
        cls = getattr(ns, name)
        text = cls.__doc__ + (ns.Layer.__doc__ or "")
        if issubclass(cls, ns.Population):
            text += ns.Population.__doc__
        for argument in inspect.signature(cls).parameters:
            explained = argument in ("layers", "name") or re.search(rf"\b{argument}\b", text)
            assert explained, f"{name}: {argument} is not explained"
    assert "tau_adp" in inspect.signature(ns.ALIF).parameters


@pytest.mark.parametrize("model", NEURONS.values(), ids=lambda m: m.name)
def test_a_models_docstring_names_its_settings_and_options(model):
    text = model.doc if "`LIF`" not in model.doc else model.doc + NEURONS["LIF"].doc
    for name in (*model.Settings._fields, *model.options):
        assert re.search(rf"\b{name}\b", text), f"{model.name}: {name} is not in the docstring"
    assert "Source:" in model.doc


def test_signatures_are_short():
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                positional = len(node.args.args)
                assert positional <= 10, f"{path.name}: {node.name} has {positional} positional arguments"


# ---- what a reader can take in

FOLDERS = [ROOT, ROOT.parent / "tests", ROOT.parent / "examples"]
LINES, FUNCTION = 400, 50
BY_NECESSITY = {
    # one loop over the words of a file, its state in registers: in parts it is 4 to 7 times slower
    "prophesee.py": {"decode_evt3"}}
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def sources():
    for folder in FOLDERS:
        yield from sorted(folder.rglob("*.py"))


def too_much(node):
    """Why a node is more than a line should hold, or None."""
    if isinstance(node, ast.FunctionDef):
        length = node.end_lineno - node.lineno + 1
        return f"{node.name} has {length} lines" if length > FUNCTION else None
    if isinstance(node, COMPREHENSIONS):
        several = len(node.generators) > 1 and any(g.ifs for g in node.generators)
        return "a comprehension with several loops and a condition" if several else None
    if isinstance(node, ast.IfExp):
        parts = (node.test, node.body, node.orelse)
        return "a chain of conditional expressions" if any(isinstance(p, ast.IfExp) for p in parts) else None
    if isinstance(node, (ast.Tuple, ast.List)):
        return "several lambdas in a row" if sum(isinstance(e, ast.Lambda) for e in node.elts) > 1 else None
    return None


def test_files_and_functions_are_short_and_lines_hold_one_idea():
    found = []
    for path in sources():
        text = path.read_text()
        if text.count("\n") > LINES:
            found.append(f"{path}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            why = too_much(node)
            if why and getattr(node, "name", None) not in BY_NECESSITY.get(path.name, ()):
                found.append(f"{path}:{node.lineno}: {why}")
    assert not found, "\n".join(found)


def test_the_rule_finds_what_it_forbids():
    for code in ("[a for b in c for a in b if a]", "x = a if b else c if d else e", "(lambda: 0, lambda: 1)",
                 "def f():" + "\n    x = 0" * FUNCTION):
        assert any(map(too_much, ast.walk(ast.parse(code)))), code


def test_ruff():
    """Rules in pyproject.toml: lines of at most 110 characters, and what ruff finds by itself."""
    pytest.importorskip("ruff", reason="the package ruff is not installed: pip install ruff")
    folders = [folder for folder in FOLDERS if folder.is_dir()]
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
