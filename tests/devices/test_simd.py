"""The elementwise loops stay vectorised.

LLVM gives that up silently, and a step then takes three to ten times as long.
"""

import pytest
from scripts import run_script

from numsnn.neurons import NEURONS

# In a process of its own with an empty cache, because cached kernels cannot be inspected.  Packed
# instructions that occur nowhere but in the elementwise loop tell: the comparison of the spike in the forward
# loop, the exponent bits of exp (from the surrogate) in the backward one.  A model that does not spike has
# neither; its loop without recurrence holds no products but its own.
SCRIPT = """
import re
from population_cases import case, everything, gradients, run
from numsnn.devices.cpu import device as cpu, population as cpu_population
{patch}
from numsnn.neurons import NEURONS
model = NEURONS[{name!r}]
c = case(model, (13, 9, 11), recur=model.spiking)
tape = run(cpu, c, everything(model)).tape
cpu.population_backward(c[0], tape, c[3], gradients(c[0], (13, 9, 11), c[1][0].dtype), model.Params._fields)
s = c[0].surrogate
kernels = (cpu_population.forward_kernel(model, s.spike, s.slope, c[0].activation, c[0].recur),
           cpu_population.backward_kernel(model, s.spike, s.slope, c[0].activation, c[0].recur, False))
patterns = ("fcmp ogt", "shl") if model.spiking else ("fmul", "fmul")
for kernel, pattern in zip(kernels, patterns):
    ir = "".join(kernel.inspect_llvm().values())
    print(len(re.findall(rf"= {{pattern}} <\\d+ x (float|i32)>", ir)))
"""


def packed(name, folder, patch=""):
    """Number of packed instructions of the (forward, backward) loop."""
    done = run_script(SCRIPT.format(name=name, patch=patch), NUMBA_CACHE_DIR=folder)
    assert done.returncode == 0, done.stderr
    return tuple(map(int, done.stdout.split()))


@pytest.mark.parametrize("name", NEURONS)
def test_loops_are_vectorised(name, tmp_path):
    counts = packed(name, tmp_path)
    assert len(counts) == 2
    assert min(counts) > 0, f"{name}: packed instructions in the forward, backward loop: {counts}"


def test_the_count_notices_a_scalar_loop(tmp_path):
    """With a vector width of one the count is zero: the test can fail."""
    patch = 'import llvmlite.binding as llvm; llvm.set_option("", "--force-vector-width=1")'
    assert packed("ALIF", tmp_path, patch) == (0, 0)
