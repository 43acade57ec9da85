"""The machine: card, driver, versions; how fast it copies and multiplies, measured."""

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

from notes import SMALL, note

PACKAGES = ("numpy", "numba", "numba-cuda", "cuda-bindings", "scipy", "h5py", "matplotlib", "pytest", "torch",
            "triton", "jax", "cupy", "spikingjelly", "snntorch", "norse")


def versions():
    """{package: version, or "-" where it is missing}; cupy's name has the version of CUDA in it."""
    found = {}
    for name in PACKAGES:
        names = (name, "cupy-cuda13x", "cupy-cuda12x") if name == "cupy" else (name,)
        found[name] = next(filter(None, map(_version, names)), "-")
    return found


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def card():
    """What nvidia-smi says of the card, or why it says nothing."""
    asked = "name,driver_version,memory.total,clocks.sm,clocks.max.sm,power.limit,compute_mode"
    command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError as error:
        return f"no nvidia-smi ({error.strerror})"
    return (done.stdout or done.stderr).strip()


def product_of_torch(n):
    """Float32 operations per second of a product of n x n matrices by the vendor's library; None: no PyTorch
    that sees a card."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    from numsnn.bench.measure import Part, interleaved
    a, b = (torch.randn(n, n, device="cuda") for _ in "ab")
    part = Part(lambda: a @ b, wait=torch.cuda.synchronize)
    return 2 * n ** 3 / interleaved({"product": part}, 7)["product"].best


def main(folder):
    note(folder, "about", card=card(), machine=f"{platform.platform()}, Python {platform.python_version()}",
         versions=versions())
    from numsnn import bench
    limits = bench.machine(8, 1e-3, "cuda") if SMALL else bench.machine(4096, 2048, "cuda")
    note(folder, "about", device=limits.kind, cores=limits.cores, copy=limits.copy, product=limits.flops)
    if not SMALL:
        note(folder, "about", product_of_torch=product_of_torch(4096))


main(sys.argv[1])
