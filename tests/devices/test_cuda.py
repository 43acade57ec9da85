"""The CUDA device: all of on_cuda*.py on the GPU, or in Numba's simulator and, compiled, on the host.

Also kernels compiled without a GPU, and what is said where none is.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from beside import ENVIRONMENT, cache_of_jobs, pytest_of

import numsnn as ns

HERE = Path(__file__).parent


def _gpu():
    try:
        ns.devices.get("cuda")
    except (ImportError, OSError):
        return False
    return True


def start(folder, said):
    """All of on_cuda*.py, in a process of its own."""
    environment = {**ENVIRONMENT, "OPENBLAS_NUM_THREADS": "1", "NUMBA_ENABLE_CUDASIM": "0" if _gpu() else "1",
                   "NUMBA_CACHE_DIR": cache_of_jobs()}
    return pytest_of(sorted(HERE.glob("on_cuda*.py")), said, environment)


@pytest.mark.beside(start=start)
def test_on_the_gpu_or_in_the_simulator(beside):
    status, said = beside.finished()
    assert status == 0, said[-6000:]
    assert " passed" in said and "skipped" not in said


COMPILES = sys.platform == "linux" and find_spec("numba_cuda") and shutil.which("cc")


@pytest.mark.skipif(_gpu() or not COMPILES, reason="needs numba-cuda and a C compiler on Linux, and no GPU")
@pytest.mark.parametrize("sizes", ["as it is", "small", "fused"])
def test_compiled_kernels_on_the_host(sizes, tmp_path):
    """What numba-cuda compiles and how it is started, without a GPU.

    Threads in an order that is drawn, memory that begins with no numbers and ends where it ends.  fused:
    products and sums together, as on a GPU.
    """
    driver, library = HERE / "host_gpu" / "driver.c", tmp_path / "libcuda.so.1"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, driver, "-ldl"], check=True)
    path = os.pathsep.join(map(str, (driver.parent, HERE.parents[1])))
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "HOST_GPU": sizes, "PYTHONPATH": path,
                   "LD_LIBRARY_PATH": str(tmp_path), **({"HOST_GPU_FUSED": "1"} if sizes == "fused" else {})}
    files = sorted(HERE.glob("on_cuda*.py"))
    running = []
    for name, share in (("one", files[::2]), ("two", files[1::2])):
        own = {**environment, "NUMBA_CACHE_DIR": str(tmp_path / name)}
        with open(tmp_path / f"{name}.txt", "w") as said:
            running.append(pytest_of(share, said, own, "-p", "host_kernels"))
    for name, process in zip(("one", "two"), running, strict=True):
        status, said = process.wait(), (tmp_path / f"{name}.txt").read_text()
        assert status == 0, said[-6000:]
        assert " passed" in said and "skipped" not in said


@pytest.mark.skipif(_gpu(), reason="there is a GPU")
def test_what_is_missing_is_said():
    said = 'device="cuda" needs .*(pip install "numsnn\\[cuda\\]"|driver).*device="cpu"'
    with pytest.raises((ImportError, OSError), match=said):
        ns.Network(ns.Dense(2, 3), device="cuda")


def test_kernels_compile_without_doubles_local_memory_or_calls():
    """PTX for a GPU that need not be there."""
    reason = 'the package numba-cuda is not installed (pip install "numsnn[cuda]"): nothing to compile with'
    pytest.importorskip("numba_cuda", reason=reason)
    done = subprocess.run([sys.executable, HERE / "kernels_to_ptx.py"], capture_output=True, text=True,
                          check=False, env={**os.environ, "NUMBA_ENABLE_CUDASIM": "0"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) > 30
