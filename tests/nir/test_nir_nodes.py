"""Every type of node, read from a file, against plain NumPy."""

import numpy as np
import pytest
from nir_files import chain, node, write

import numsnn as ns
from numsnn.nir import NirError

DT, T, B, N = 1e-3, 12, 2, 6
RNG = np.random.default_rng(20)
X = RNG.normal(0.6, 1.0, (T, B, N)).astype("f4")
TAU, TAU_SYN, R, W_IN = RNG.uniform(2e-3, 9e-3, (4, N)) * np.array([[1], [1], [400], [400]])
V_LEAK, V_RESET, THETA = RNG.uniform(-0.1, 0.1, (3, N)) + np.array([[0], [0], [0.4]])
MEMBRANE = {"tau": TAU, "r": R, "v_leak": V_LEAK}
SYNAPSE = {"tau_syn": TAU_SYN, "tau_mem": TAU, "r": R, "v_leak": V_LEAK, "w_in": W_IN}
SPIKE = {"v_threshold": THETA, "v_reset": V_RESET}


def net_of(tmp_path, *nodes, shape=(N,), out=(N,), **how):
    path = write(tmp_path / "a.nir", chain(*nodes, shape=shape, out=out))
    return ns.nir.read(path, **{"dt": DT, "device": "reference", **how})


def run(tmp_path, *nodes, x=X, **more):
    return net_of(tmp_path, *nodes, **more).run(x)[0]


def rate(tau, integrator):
    return DT / tau if integrator == "euler" else 1 - np.exp(-DT / tau)


def spikes_of(steps, reset, v_reset=V_RESET):
    """Spikes (T, B, N) of steps(v, t) -> u."""
    v, out = np.zeros((B, N)), []
    for t in range(T):
        u = steps(v, t)
        s = u > THETA
        v = {"hard": np.where(s, v_reset, u), "soft": u - s * THETA, "none": u}[reset]
        out.append(s)
    return np.array(out)


@pytest.mark.parametrize("integrator", ["euler", "exponential"])
@pytest.mark.parametrize("reset", ["hard", "soft", "none"])
def test_spiking_neurons(tmp_path, integrator, reset):
    a, a_syn = rate(TAU, integrator), rate(TAU_SYN, integrator)
    how = {"integrator": integrator, "reset": reset}
    spikes = spikes_of(lambda v, t: v + a * (V_LEAK - v + R * X[t]), reset)
    assert 0.1 < spikes.mean() < 0.9
    assert np.array_equal(run(tmp_path, node("LIF", **MEMBRANE, **SPIKE), **how), spikes)
    i = np.zeros((T + 1, B, N))
    for t in range(T):
        i[t] = i[t - 1] + a_syn * (W_IN * X[t] - i[t - 1])
    spikes = spikes_of(lambda v, t: v + a * (V_LEAK - v + R * i[t]), reset)
    assert 0.1 < spikes.mean() < 0.9
    assert np.array_equal(run(tmp_path, node("CubaLIF", **SYNAPSE, **SPIKE), **how), spikes)
    spikes = spikes_of(lambda v, t: v + DT * 100 * R * X[t], reset)
    assert np.array_equal(run(tmp_path, node("IF", r=100 * R, **SPIKE), **how), spikes)


@pytest.mark.parametrize("integrator", ["euler", "exponential"])
def test_integrators(tmp_path, integrator):
    a, a_syn = rate(TAU, integrator), rate(TAU_SYN, integrator)
    v, w, i, sums = np.zeros((4, T + 1, B, N))
    for t in range(T):
        v[t] = v[t - 1] + a * (V_LEAK - v[t - 1] + R * X[t])
        i[t] = i[t - 1] + a_syn * (W_IN * X[t] - i[t - 1])
        w[t] = w[t - 1] + a * (V_LEAK - w[t - 1] + R * i[t])
        sums[t] = sums[t - 1] + DT * R * X[t]
    for one, expected in (("LI", v), ("CubaLI", w), ("I", sums)):
        params = {"LI": MEMBRANE, "CubaLI": SYNAPSE, "I": {"r": R}}[one]
        y = run(tmp_path, node(one, **params), integrator=integrator)
        assert np.allclose(y, expected[:-1], atol=1e-5), one


def test_what_is_absent_has_its_default(tmp_path):
    """v_reset of files before 1.0.6, w_in, the shape of an Input; arrays of one value, and without axes."""
    a, a_syn = rate(0.004, "euler"), rate(0.002, "euler")
    i, steps = np.zeros((T + 1, B, N)), []
    for t in range(T):
        i[t] = i[t - 1] + a_syn * (X[t] - i[t - 1])
        steps.append(i[t])
    params = {"tau_syn": np.array([0.002], "f4"), "tau_mem": 0.004, "r": 5, "v_leak": np.zeros((1, 1)),
              "v_threshold": THETA}
    content = chain(node("CubaLIF", **params), out=[N])
    del content["nodes"]["input"]["shape"]
    net = ns.nir.read(write(tmp_path / "a.nir", content, version=None), dt=DT, device="reference")
    assert net.input_shape == (N,)
    spikes = spikes_of(lambda v, t: v + a * (5 * steps[t] - v), "hard", v_reset=0)
    assert np.array_equal(net.run(X)[0], spikes)


def test_matrices_and_numbers_for_each_feature(tmp_path):
    weight, bias, scale = RNG.normal(size=(4, N)).astype("f4"), RNG.normal(size=4), RNG.normal(size=N)
    y = X @ weight.T
    assert np.allclose(run(tmp_path, node("Linear", weight=weight), out=[4]), y, atol=1e-5)
    affine = node("Affine", weight=weight[None], bias=bias)
    assert np.allclose(run(tmp_path, affine, out=[4]), y + bias, atol=1e-5)
    assert np.allclose(run(tmp_path, node("Scale", scale=scale)), X * scale, atol=1e-6)
    assert np.array_equal(run(tmp_path, node("Threshold", threshold=THETA)), X > THETA.astype("f4"))


def test_delays(tmp_path):
    steps = np.array([0, 1, 2, 3, 1, 0])
    late = np.zeros_like(X)
    for n, d in enumerate(steps):
        late[d:, :, n] = X[:T - d, :, n]
    assert np.array_equal(run(tmp_path, node("Delay", delay=(steps * DT).astype("f4"))), late)
    with pytest.warns(UserWarning, match=r"delays of n0 are rounded to steps of 0.001 s"):
        net = net_of(tmp_path, node("Delay", delay=np.full(N, 2.4e-3)))
    assert np.array_equal(net.run(X)[0][2:], X[:-2])
    with pytest.raises(NirError, match="must not be negative"):
        net_of(tmp_path, node("Delay", delay=np.full(N, -1e-3)))


def convolved(x, weight, bias, stride, padding, dilation, groups):
    """x (B, C, H, W); padding: ((before, after), (before, after)) of rows and columns."""
    x = np.pad(x, ((0, 0), (0, 0), *padding))
    c_out, c_in, *kernel = weight.shape
    rows, columns = ((n - d * (k - 1) - 1) // s + 1
                     for n, d, k, s in zip(x.shape[2:], dilation, kernel, stride, strict=True))
    y = np.zeros((len(x), c_out, rows, columns)) + bias[:, None, None]
    for o in range(c_out):
        first = o // (c_out // groups) * c_in
        for h in range(rows):
            for w in range(columns):
                window = x[:, first:first + c_in, h * stride[0]::dilation[0], w * stride[1]::dilation[1]]
                y[:, o, h, w] += (window[:, :, :kernel[0], :kernel[1]] * weight[o]).sum((1, 2, 3))
    return y


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation", "groups", "pads"), [
    ((3, 2), (2, 1), (1, 0), (1, 2), 1, ((1, 1), (0, 0))),
    ((3, 3), 1, 1, 1, 2, ((1, 1), (1, 1))),
    ((2, 3), (1, 1), "same", (1, 2), 1, ((0, 1), (2, 2))),
    ((2, 2), [2], "valid", (1, 1), 1, ((0, 0), (0, 0)))])
def test_conv2d(tmp_path, kernel, stride, padding, dilation, groups, pads):
    weight, bias = RNG.normal(size=(4, 2 // groups, *kernel)), RNG.normal(size=4)
    x = RNG.normal(size=(B, 2, 6, 7)).astype("f4")
    conv = node("Conv2d", weight=weight, bias=bias, stride=stride, padding=padding, dilation=dilation,
                groups=groups, input_shape=np.array([6, 7]))
    expected = convolved(x, weight, bias, np.resize(stride, 2), pads, np.resize(dilation, 2), groups)
    y = run(tmp_path, conv, x=x[None], shape=x.shape[1:], out=expected.shape[1:])
    assert np.allclose(y[0], expected, atol=1e-5)


def test_conv1d(tmp_path):
    weight, bias = RNG.normal(size=(3, 2, 3)), RNG.normal(size=3)
    x = RNG.normal(size=(B, 2, 9)).astype("f4")
    conv = node("Conv1d", weight=weight, bias=bias, stride=2, padding=1, dilation=1, groups=1, input_shape=9)
    expected = convolved(x[:, :, None], weight[:, :, None], bias, (1, 2), ((0, 0), (1, 1)), (1, 1), 1)
    content = chain(conv, out=[3, 5])
    del content["nodes"]["input"]["shape"]
    net = ns.nir.read(write(tmp_path / "a.nir", content), dt=DT, device="reference")
    assert np.allclose(net.run(x[None])[0][0], expected[:, :, 0], atol=1e-5)


def test_pools_and_flatten(tmp_path):
    x = RNG.normal(size=(1, B, 2, 4, 6)).astype("f4")
    pool = {"kernel_size": np.array([2, 3]), "stride": np.array([2, 3]), "padding": np.array([0, 0])}
    windows = x.reshape(1, B, 2, 2, 2, 2, 3)
    y = run(tmp_path, node("SumPool2d", **pool), x=x, shape=(2, 4, 6), out=(2, 2, 2))
    assert np.allclose(y, windows.sum((4, 6)), atol=1e-5)
    y = run(tmp_path, node("AvgPool2d", **pool), x=x, shape=(2, 4, 6), out=(2, 2, 2))
    assert np.allclose(y, windows.mean((4, 6)), atol=1e-5)
    all_of_it = node("Flatten", start_dim=0, end_dim=-1, input_type=np.array([2, 4, 6]))
    assert np.array_equal(run(tmp_path, all_of_it, x=x, shape=(2, 4, 6), out=[48]), x.reshape(1, B, 48))
    part = node("Flatten", start_dim=1, end_dim=2)
    assert np.array_equal(run(tmp_path, part, x=x, shape=(2, 4, 6), out=(2, 24)), x.reshape(1, B, 2, 24))


def test_padding_of_pools_counts_as_zeros(tmp_path):
    x = RNG.normal(size=(1, B, 1, 4, 4)).astype("f4")
    pool = {"kernel_size": np.array([2, 2]), "stride": np.array([2, 2]), "padding": np.array([1, 1])}
    windows = np.pad(x, ((0, 0), (0, 0), (0, 0), (1, 1), (1, 1))).reshape(1, B, 1, 3, 2, 3, 2)
    y = run(tmp_path, node("AvgPool2d", **pool), x=x, shape=(1, 4, 4), out=(1, 3, 3))
    assert np.allclose(y, windows.mean((4, 6)), atol=1e-5)


def test_pictures_have_neurons_with_parameters_of_their_shape(tmp_path):
    theta = RNG.uniform(0.2, 0.8, (2, 2, 3))
    lif = {"tau": np.full((2, 2, 3), 2e-3), "r": np.ones((2, 1, 1)), "v_leak": 0.0, "v_threshold": theta}
    x = RNG.normal(size=(T, B, 2, 2, 3)).astype("f4")
    y = run(tmp_path, node("LIF", **lif), x=x, shape=(2, 2, 3), out=(2, 2, 3))
    v = np.zeros(x.shape[1:])
    for t in range(T):
        v = v + 0.5 * (x[t] - v)
        assert np.array_equal(y[t], v > theta), t
        v[v > theta] = 0


BAD = [
    (node("LIF", **{**MEMBRANE, "tau": np.full(N, 5e-4)}, **SPIKE), {},
     "tau of 0.0005 s is shorter than the step"),
    (node("LI", **{**MEMBRANE, "tau": np.zeros(N)}), {}, r"is a time constant and must be positive; got 0"),
    (node("LI", **{**MEMBRANE, "tau": -TAU}), {"integrator": "exponential"}, "must be positive; got -0.00"),
    (node("LI", **{**MEMBRANE, "r": np.full(N, np.nan)}), {}, r"n0 \(LI\): r holds nan; it must be finite"),
    (node("LI", **{**MEMBRANE, "r": np.ones(4)}), {}, "its parameters should have one shape; got tau"),
    (node("LI", tau=TAU, r=R), {}, "has no v_leak; it has tau, r"),
    (node("LI", tau="slow", r=R, v_leak=R), {}, "tau should hold numbers; got 'slow'"),
    (node("Linear", weight=np.ones(3)), {}, r"weight should have the shape \(outputs, inputs\); got \(3,\)"),
    (node("Scale", scale=np.full(N, 1e300)), {}, "scale"),
    (node("Delay", delay=np.full(N, 1e6)), {}, "in steps of 0.001 s would hold 6e.09 values of 6 features"),
    (node("Flatten", start_dim=3, end_dim=9), {}, "cannot flatten the axes 3 to 9"),
    (node("Spike", tau=TAU), {}, r"types that are not known: n0 \(Spike\); known are Input, Output, Linear"),
]


@pytest.mark.parametrize(("bad", "how", "words"), BAD, ids=[words[:30] for _, _, words in BAD])
def test_what_cannot_be_computed_is_refused_with_its_node(tmp_path, bad, how, words):
    with pytest.raises(NirError, match=words) as error:
        net_of(tmp_path, bad, **how)
    assert str(error.value).startswith(str(tmp_path))


def test_euler_is_refused_with_a_remedy_that_works(tmp_path):
    lif = node("LIF", **{**MEMBRANE, "tau": np.full(N, 5e-4)}, **SPIKE)
    assert net_of(tmp_path, lif, integrator="exponential").run(X)[0].shape == X.shape
    assert net_of(tmp_path, lif, dt=5e-4).run(X)[0].shape == X.shape


def test_arguments(tmp_path):
    lif = node("LIF", **MEMBRANE, **SPIKE)
    with pytest.raises(NirError, match="NIR knows no time step, .* give dt= in seconds"):
        net_of(tmp_path, lif, dt=None)
    with pytest.raises(ValueError, match="dt must be a positive number of seconds; got -1"):
        net_of(tmp_path, lif, dt=-1)
    with pytest.raises(ValueError, match="reset must be one of 'hard', 'soft', 'none'; got 'zero'"):
        net_of(tmp_path, lif, reset="zero")
    with pytest.raises(ValueError, match="integrator must be one of"):
        net_of(tmp_path, lif, integrator="rk4")
    with pytest.raises(TypeError, match="path must be"):
        ns.nir.read(3, dt=1e-4)
