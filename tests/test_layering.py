"""Data flows one way: each file imports only from the lines above it."""

import ast
from pathlib import Path

import numsnn

ROOT = Path(numsnn.__file__).parent
ORDER = ("buffers", "elementwise", "surrogate", "activation", "neurons", "spikes", "loops", "layers", "loss", "optim", "metrics", "summary", "regularise", "parameters", "chunks", "graph", "passes", "door", "stepping", "fused", "memory", "network", "init",
         "gradcheck", "io", "events", "encode", "audio", "datasets", "train", "energy", "plot", "describe", "recipes", "bench", "report", "cli", "__main__", "__init__")
RUN_TIME = {"numpy", "numba", "llvmlite", "scipy", "h5py", "matplotlib"}
NO_NUMBA = ("buffers.py", "elementwise.py", "surrogate.py", "activation.py", "spikes.py", "loops/reference.py", "loops/access.py", "loops/contract.py", "loops/norm.py", "loops/pointwise.py", "network.py")


def place(path):
    return ORDER.index(path.relative_to(ROOT).parts[0].removesuffix(".py"))


def imports(path):
    """(names of our own modules, names of foreign ones) that a file imports, wherever in it."""
    own, foreign, depth = set(), set(), len(path.relative_to(ROOT).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            foreign |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            foreign.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.level == depth:       # up to the top of the package
            own |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
    return own, foreign


def test_every_file_imports_from_above():
    files = sorted(ROOT.rglob("*.py"))
    assert len(files) > 20
    for path in files:
        if path == ROOT / "__init__.py":
            continue
        for name in imports(path)[0] - {"__version__"}:
            assert ORDER.index(name) < place(path), f"{path.relative_to(ROOT)} imports {name}, which stands below it"


def test_only_the_run_time_packages():
    import sys
    for path in ROOT.rglob("*.py"):
        foreign = imports(path)[1] - set(sys.stdlib_module_names)
        allowed = RUN_TIME | ({"cuda"} if path.name == "cuda_driver.py" else set())         # numba-cuda comes with it, and needs it
        assert foreign <= allowed, f"{path.relative_to(ROOT)} imports {foreign - allowed}"


def test_the_reference_needs_no_numba():
    for name in (*NO_NUMBA, *(f"neurons/{p.name}" for p in (ROOT / "neurons").glob("*.py"))):
        assert not imports(ROOT / name)[1] & {"numba", "llvmlite"}, name


def test_the_device_is_asked_about_once():
    places = [path for path in ROOT.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))
              if isinstance(node, ast.Compare) and getattr(node.left, "id", getattr(node.left, "attr", "")) == "device"]
    assert {p.relative_to(ROOT).as_posix() for p in places} == {"loops/__init__.py"}
