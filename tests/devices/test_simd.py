"""The elementwise loops stay vectorised.

LLVM gives that up silently, and a step then takes three to ten times as long.
"""

import subprocess
from functools import partial

import pytest
from population_cases import OF_THEIR_OWN
from scripts import command, environment_of

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
kernels = (cpu_population.forward_kernel(model, s.spike, s.slope, c[0].activation),
           cpu_population.backward_kernel(model, s.spike, s.slope, c[0].activation))
patterns = ("fcmp ogt", "shl") if model.spiking else ("fmul", "fmul")
for kernel, pattern in zip(kernels, patterns):
    ir = "".join(kernel.inspect_llvm().values())
    print(len(re.findall(rf"= {{pattern}} <\\d+ x (float|i32)>", ir)))
"""


SCALAR = 'import llvmlite.binding as llvm; llvm.set_option("", "--force-vector-width=1")'


def counting(name, patch, folder, said):
    """A process that prints the numbers of packed instructions of the forward and the backward loop."""
    script = command(SCRIPT.format(name=name, patch=patch))
    environment = environment_of(NUMBA_CACHE_DIR=folder)
    return subprocess.Popen(script, stdout=said, stderr=subprocess.STDOUT, env=environment)


def packed(beside):
    """What it printed."""
    status, said = beside.finished()
    assert status == 0, said
    return tuple(map(int, said.split()))


def counted(name):
    return pytest.param(name, id=name, marks=pytest.mark.beside(start=partial(counting, name, "")))


@pytest.mark.parametrize("name", [counted(model.name) for model in OF_THEIR_OWN])
def test_loops_are_vectorised(name, beside):
    counts = packed(beside)
    assert len(counts) == 2
    assert min(counts) > 0, f"{name}: packed instructions in the forward, backward loop: {counts}"


@pytest.mark.beside(start=partial(counting, "ALIF", SCALAR))
def test_the_count_notices_a_scalar_loop(beside):
    """With a vector width of one the count is zero: the test can fail."""
    assert packed(beside) == (0, 0)
