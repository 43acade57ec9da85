"""A plugin for pytest: functions of the host in place of kernels of a GPU, for driver.c.

numba-cuda does all that it does for a GPU, down to the machine code and the words that a kernel is started
with.  The code between Numba's front end and NVIDIA's compiler (LLVM's) is compiled for the host as well:
registers of a thread, barriers and a few functions of the GPU become calls of driver.c and of the C library.
So the arithmetic, its types and its indices are those that a GPU runs, and exp is the C library's.  Products
and sums are fused, as NVIDIA's compiler fuses them, where HOST_GPU_FUSED is set and the host's processor can.
"""

import ctypes
import os
import re

import llvmlite.binding as llvm
from numba.cuda.codegen import CUDACodeLibrary

ORDERS = ("ascending", "descending", "drawn")
REGISTERS = {f"llvm.nvvm.read.ptx.sreg.{name}.{axis}": f"host_{name}_{axis}"
             for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz"}
FUNCTIONS = {f"__nv_{name}{precision}": f"{name}{precision}"
             for name in ("exp", "log", "sqrt", "tanh", "pow", "fabs", "floor", "fmax", "fmin")
             for precision in ("f", "")}
BYTES = {"i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "float": 4, "double": 8, "ptr": 8}
OWN = """
declare i32 @llvm.cttz.i32(i32, i1)
define internal i32 @__nv_ffs(i32 %x) {
  %zeros = call i32 @llvm.cttz.i32(i32 %x, i1 0)
  %place = add i32 %zeros, 1
  %none = icmp eq i32 %x, 0
  %result = select i1 %none, i32 0, i32 %place
  ret i32 %result
}
"""

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
driver = ctypes.CDLL("libcuda.so.1")
llvm.load_library_permanently(driver._name)
text, address, number, size = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
driver.host_register.argtypes = [text, address, number, number, text]
driver.host_shared.argtypes = [text, address, size]
driver.host_order(ORDERS.index(os.environ.get("HOST_GPU_ORDER", "drawn")))
FUSED = "HOST_GPU_FUSED" in os.environ
processor = {"cpu": llvm.get_host_cpu_name(), "features": llvm.get_host_cpu_features().flatten()}
machine = llvm.Target.from_default_triple().create_target_machine(
    opt=2, jit=True, **(processor if FUSED else {}))
engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


def translated(code):
    """The host's code, and whether it has barriers."""
    code = re.sub(r"^(target .*|!nvvm.*)$", "", code, flags=re.MULTILINE).replace("ptx_kernel ", "")
    for gpus, hosts in (REGISTERS | FUNCTIONS).items():
        code = re.sub(rf'@"?{re.escape(gpus)}"?\(', f"@{hosts}(", code)
    barrier = r'@"?llvm\.nvvm\.barrier[\w.]*"?\([^)]*\)'
    meets = re.search(rf"call .*{barrier}", code)
    code = re.sub(barrier, "@host_barrier()", code)
    if re.search(r'define .*@"?__nv_ffs|declare .*@"?__nv_ffs', code):
        code = re.sub(r'^declare .*@"?__nv_ffs.*$', OWN, code, flags=re.MULTILINE)
    if FUSED:
        code = re.sub(r"= (fadd|fsub|fmul) ", r"= \1 contract ", code)
    left = set(re.findall(r'@"?(llvm\.nvvm[\w.]*|__nv_\w+)"?', code)) - {"__nv_ffs"}
    if left:
        raise NotImplementedError(f"host_kernels.py lacks {', '.join(left)}")
    return code, bool(meets)


def called_with_words(own, name, types):
    """The code of a function that takes the words a kernel is started with, and calls it."""
    loads = [f"%p{i} = getelementptr ptr, ptr %words, i64 {i}\n"
             f"%q{i} = load ptr, ptr %p{i}\n"
             f"%v{i} = load {t}, ptr %q{i}\n" for i, t in enumerate(types)]
    arguments = ", ".join(f"{t} %v{i}" for i, t in enumerate(types))
    return (f'declare void @"{name}"({", ".join(types)})\n'
            f'define void @{own}(ptr %words) {{\n{"".join(loads)}'
            f'call void @"{name}"({arguments})\nret void\n}}')


def shared_memory(module, own):
    """(name, bytes) of the variables in shared memory, named after the kernel; all others are hidden."""
    shared = []
    for g in module.global_variables:
        size = re.search(r"addrspace\(3\) global \[(\d+) x (\w+)\]", str(g))
        if size:
            g.linkage, g.name = "external", f"{own}_{len(shared)}"
            shared.append((g.name, int(size[1]) * BYTES[size[2]]))
        elif not g.name.startswith("llvm.") and "external" not in str(g):
            g.linkage = "internal"
    return shared


def compiled(library):
    """Compile a kernel for the host and tell the driver of it."""
    name = library._entry_name
    parts = [translated(code) for code in library.llvm_strs]
    module, *others = (llvm.parse_assembly(code) for code, _ in parts)
    for other in others:
        module.link_in(other)
    types = [str(a.type) for a in module.get_function(name).arguments]
    own = f"host_{len(compiled.modules)}"
    module.link_in(llvm.parse_assembly(called_with_words(own, name, types)))
    shared = shared_memory(module, own)
    for f in module.functions:
        if not f.is_declaration and f.name != own:
            f.linkage = "internal"
    module.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    engine.add_module(module)
    engine.finalize_object()
    compiled.modules.append(module)
    sizes = bytes(BYTES[t] for t in types)
    meets = any(meets for _, meets in parts)
    driver.host_register(name.encode(), engine.get_function_address(own), meets, len(sizes), sizes)
    for variable, size in shared:
        driver.host_shared(name.encode(), engine.get_global_value_address(variable), size)


compiled.modules = []
of_numba = CUDACodeLibrary.get_cufunc


def get_cufunc(library):
    if not any(library is known for known in get_cufunc.known):
        compiled(library)
        get_cufunc.known.append(library)
    return of_numba(library)


get_cufunc.known = []
CUDACodeLibrary.get_cufunc = get_cufunc
