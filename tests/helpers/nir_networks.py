"""Networks that NIR can express, drawn at random."""

import numpy as np

import numsnn as ns

SPIKING = (ns.LIF, ns.IF, ns.CubaLIF)
ANALOG = (ns.LI, ns.Integrator, ns.CubaLI)


def neurons(rng, n, recurrent=None):
    """A population of any kind, with any options."""
    kinds = SPIKING + ANALOG
    kind = kinds[rng.integers(len(kinds))]
    options = {}
    known = kind.model.options
    for name in sorted(set(known) - {"detach_reset"}):
        options[name] = known[name][rng.integers(len(known[name]))]
    if kind in SPIKING:
        options["comparator"] = (">", ">=")[rng.integers(2)]
        options["surrogate"] = ("multi_gaussian", "triangle")[rng.integers(2)]
    if kind is ns.LIF:
        options["reset_when"] = ("same", "next")[rng.integers(2)]
    settings = kind.model.Settings._fields
    values = {name: ("uniform", 3.0, 30.0) if name.startswith("tau_") else ("uniform", 0.3, 0.9)
              for name in settings if rng.random() < 0.7}
    learn = tuple(name for name in settings if rng.random() < 0.3)
    shared = tuple(name for name in settings if rng.random() < 0.2)
    recurs = bool(rng.random() < 0.4) if recurrent is None else recurrent
    bias = bool(rng.random() < 0.5)
    return kind(n, recurrent=recurs, recurrent_bias_init="zeros" if bias else False, learn=learn,
                shared=shared, **options, **values)


class Drawing:
    """Layers, one after the other; `shape` is what the last one hands out."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.layers, self.named = [], []        # named: (name, shape) of layers that a branch may take

    def add(self, layer, shape):
        layer.name = f"a{len(self.layers)}"
        self.layers.append(layer)
        self.named.append((layer.name, shape))
        self.shape = shape

    def network(self, **how):
        """A network of some pictures and some features."""
        rng = self.rng
        self.shape = start = (2, 5, 6) if rng.random() < 0.5 else (7,)
        while len(self.shape) == 3 and len(self.layers) < 5:
            self.picture()
        if len(self.shape) == 3 and rng.random() < 0.5:
            self.add(ns.Flatten(), (int(np.prod(self.shape)),))
        for _ in range(rng.integers(1, 4)):
            self.features()
        if rng.random() < 0.7:
            self.add(ns.OverTime(("sum", "mean", "max", "last")[rng.integers(4)]), self.shape)
        dt = (1.0, 0.5)[rng.integers(2)]
        return ns.Network(*self.layers, input_shape=start, dt=dt, device="reference", **how)

    def picture(self):
        rng, (c, h, w) = self.rng, self.shape
        what = rng.integers(5)
        if what == 0 and min(h, w) > 2:
            kind = (ns.SumPool2d, ns.AvgPool2d)[rng.integers(2)]
            self.add(kind(2, stride=1), (c, h - 1, w - 1))
        elif what == 1:
            self.add(neurons(rng, self.shape, recurrent=False), self.shape)
        elif what == 2 and rng.random() < 0.3:
            self.add(neurons(rng, self.shape, recurrent=True), self.shape)
            self.add(ns.Dense(c * h * w, 6), (6,))
        else:
            groups = (1, c)[rng.integers(2)]
            kernel, padding = ((3, 1), ((1, 3), (0, 1)))[rng.integers(2)]
            self.add(ns.Conv2d(c, 2 * groups, kernel, padding=padding, groups=groups,
                               bias=bool(rng.integers(2))), (2 * groups, h, w))
            if rng.random() < 0.4:
                self.normed()

    def normed(self):
        """A norm, behind which no other branch takes what is before it."""
        self.named.pop()
        self.add(ns.BatchNorm(), self.shape)

    def features(self):
        rng, n = self.rng, int(np.prod(self.shape))
        m = int(rng.integers(3, 8))
        dense = ns.Dense(n, m, bias=bool(rng.integers(2)))
        self.add(ns.TimeDistributed(dense) if rng.random() < 0.2 else dense, (m,))
        if rng.random() < 0.3:
            self.normed()
        back = rng.random() < 0.3
        if back:                                # feedback from the neurons that follow
            before, i = self.layers[-1].name, len(self.layers)
            self.add(ns.Previous(f"a{i + 2}", shape=(m,)), (m,))
            self.add(ns.Add(before, self.layers[-1].name), (m,))
        self.add(neurons(rng, m), (m,))
        others = [ns.Dropout(0.2), ns.Scale(0.5), ns.Delay(2), ns.Activation("identity")]
        if rng.random() < 0.5:
            self.add(others[rng.integers(len(others))], (m,))
        same = [name for name, shape in self.named if shape == self.shape]
        if rng.random() < 0.3 and not back:
            self.add(ns.Add(self.layers[-1].name, same[rng.integers(len(same))]), (m,))
        if rng.random() < 0.2:
            self.add(ns.Threshold(v_threshold=0.4), (m,))


def random_network(seed, **how):
    """A network of this number, whose arrays are not those it was drawn with."""
    drawing = Drawing(seed)
    net = drawing.network(**how)
    more = {name: drawing.rng.uniform(0, 0.1, a.shape) for name, a in net.arrays().items()}
    net.restore({name: (a * (1 + more[name]) + more[name]).astype(a.dtype)
                 for name, a in net.arrays().items()})
    return net
