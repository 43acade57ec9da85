"""Other libraries for spiking networks: their networks, and how they run, write NIR files and read them.

Weights and inputs are drawn by NumPy, so that they are the same whatever version of PyTorch is there.
"""

import contextlib
import io
import warnings

import numpy as np
import pytest

STEPS, SAMPLES = 200, 5
DT = 1e-4                       # seconds; snnTorch knows no other
INSTALL = "pip install torch nir nirtorch norse snntorch spikingjelly loguru"


def need(*names):
    """The modules, or a test that is skipped.

    Without the package nir, `import nir` finds the folder of these tests, which has no version.
    """
    found = [pytest.importorskip(name, "1.0" if name == "nir" else None, exc_type=ImportError,
                                 reason=f"{name} is not there: {INSTALL}") for name in names]
    return found[0] if len(found) == 1 else found


def spikes(*shape, seed=0, p=0.3):
    """Random input (steps, samples, *shape)."""
    draw = np.random.default_rng(seed).random((STEPS, SAMPLES, *shape))
    return (draw < p).astype(np.float32)


def uniform(shape, low, high, seed):
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


@contextlib.contextmanager
def quiet():
    """Peers print and warn a lot."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def fill(module, low=-0.5, high=1.0):
    """Weights of all matrices and kernels of a PyTorch module, drawn by NumPy; biases 0.05."""
    torch = need("torch")
    with torch.no_grad():
        for seed, (name, parameter) in enumerate(module.named_parameters()):
            if name.endswith("bias"):
                parameter.fill_(0.05)
            elif name.endswith(("weight", "recurrent.V")):
                parameter.copy_(torch.from_numpy(uniform(tuple(parameter.shape), low, high, seed)))
    return module


class Peer:
    """How a library's modules run step by step over (T, B, ...), and read a NIR graph."""
    samples_apart = False       # its Flatten takes the axis of the samples too

    def load(self, path):
        """A module from a file."""
        nir = need("nir")
        with quiet():
            return self.made(nir.read(str(path), type_check=False))

    def answers(self, path, x):
        """What the network in a file hands out."""
        if not self.samples_apart:
            return self.run(self.load(path), x)
        return np.stack([self.run(self.load(path), x[:, b]) for b in range(x.shape[1])], axis=1)

    def run(self, module, x):
        """Step by step, with the state handed on where the module returns one."""
        torch = need("torch")
        state, out = None, []
        with torch.no_grad(), quiet():
            for step in torch.from_numpy(x):
                y, state = module(step, state)
                y = y[0] if isinstance(y, tuple) else y
                out.append(y.numpy().copy())
        return np.stack(out)


class Norse(Peer):
    def made(self, graph):
        return need("norse.torch").from_nir(graph, dt=DT)

    def export(self, module, x, path):
        """dt=1 makes its time constants seconds: with its default 1e-3 they are a thousandth of that."""
        nir, torch, norse = need("nir", "torch", "norse.torch")
        with quiet():
            nir.write(str(path), norse.to_nir(module, torch.from_numpy(x[0, 0]), dt=1.0))


class SnnTorch(Peer):
    def made(self, graph):
        return need("snntorch.import_nir").import_from_nir(graph)

    def own_run(self, module, x):
        """Its own networks keep their state inside."""
        torch, utils = need("torch", "snntorch.utils")
        utils.reset(module)
        with torch.no_grad():
            return np.stack([module(step).numpy().copy() for step in torch.from_numpy(x)])

    def export(self, module, x, path):
        """Without ignore_dims it refuses its own documentation's example."""
        nir, torch, snntorch = need("nir", "torch", "snntorch.export_nir")
        with quiet():
            graph = snntorch.export_to_nir(module, torch.from_numpy(x[0]), ignore_dims=[0])
        nir.write(str(path), graph)


class SpikingJelly(Peer):
    def made(self, graph):
        return need("spikingjelly.activation_based.nir_exchange").import_from_nir(graph, dt=DT)

    def own_run(self, module, x):
        torch, functional = need("torch", "spikingjelly.activation_based.functional")
        functional.reset_net(module)
        with torch.no_grad():
            return np.stack([module(step).numpy().copy() for step in torch.from_numpy(x)])

    def export(self, module, x, path):
        torch, functional, exchange = need("torch", "spikingjelly.activation_based.functional",
                                           "spikingjelly.activation_based.nir_exchange")
        functional.reset_net(module)
        with quiet():
            exchange.export_to_nir(module, torch.from_numpy(x[0]), save_path=str(path), dt=DT)


PEERS = {"Norse": Norse(), "snnTorch": SnnTorch(), "SpikingJelly": SpikingJelly()}
MODULES = {"Norse": "norse.torch", "snnTorch": "snntorch",
           "SpikingJelly": "spikingjelly.activation_based.neuron"}
