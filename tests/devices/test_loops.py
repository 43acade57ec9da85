"""Loops: the reference and the compiled ones agree, bit for bit in the forward pass; events, padding."""

import platform

import numpy as np
import pytest
from numba import njit
from population_cases import OF_THEIR_OWN, case, copied, everything, gradients, run
from scripts import run_script

from numsnn.devices.contract import Gradients, Start, Want
from numsnn.devices.cpu import device as cpu, lanes
from numsnn.devices.cpu.fields import private
from numsnn.devices.cpu.recurrence import compress
from numsnn.devices.cpu.rows import add_rows
from numsnn.devices.reference import device as reference
from numsnn.neurons import NEURONS
from numsnn.signals.spikes import Spikes

SHAPES = ((13, 9, 11), (7, 1, 1), (5, 3, 1), (4, 1, 37), (3, 41, 20))    # the last in groups of samples
LENGTHS = (None, "ragged")


def arrays(g):
    """All arrays of PopulationGradients by name."""
    named = {"last": g.last}
    named |= {f"current.{k}": v for k, v in g.current._asdict().items()}
    named |= {f"{what}.{i}": a for what in ("weight", "bias") for i, a in enumerate(getattr(g, what) or ())}
    named |= {f"state.{k}": v for k, v in g.state._asdict().items()}
    named |= {f"coefficient.{k}": v for k, v in g.coefficients._asdict().items()}
    return {k: v for k, v in named.items() if v is not None}


def back(loops, c, g, learn, tape=None):
    """All arrays of the backward pass of a case, from a tape or from that of everything it hands out."""
    dynamics, _, _, recurrent = c
    tape = run(loops, c, everything(dynamics.model)).tape if tape is None else tape
    return arrays(loops.population_backward(dynamics, tape, recurrent, g, learn))


def check_equal(a, b, dtype, shape):
    """Arrays by name are equal to within what sums over a sequence may differ by."""
    assert a.keys() == b.keys()
    for name in a:
        scale = max(1.0, np.abs(a[name]).max())
        assert np.abs(a[name] - b[name]).max() <= bound(dtype, np.prod(shape)) * scale, (shape, name)


def bound(dtype, terms):
    """Relative error that a sum of that many terms may have, in any order."""
    return 8 * np.finfo(dtype).eps * np.sqrt(terms)


@pytest.mark.parametrize("recur", (True, False), ids=("recurrent", "pointwise"))
@pytest.mark.parametrize("model", OF_THEIR_OWN, ids=lambda m: m.name)
def test_forward_equals_reference_bit_for_bit(model, recur):
    for shape in SHAPES:
        for ragged in (False, True):
            c = case(model, shape, recur=recur, ragged=ragged)
            a, b = (run(loops, c, everything(model)) for loops in (reference, cpu))
            for found, wanted in ((b.out, a.out), (b.state, a.state)):
                for field, x, y in zip(wanted._fields, found, wanted, strict=True):
                    assert x.tobytes() == y.tobytes(), (shape, ragged, field)
            if recur:
                assert a.last.tobytes() == b.last.tobytes()
            if model.spiking:
                assert a.out.spike.any() or shape != SHAPES[0]
                assert (a.events.dense() == a.out.spike).all()
                assert (b.events.dense() == b.out.spike).all()


@pytest.mark.parametrize("recur", (True, False), ids=("recurrent", "pointwise"))
@pytest.mark.parametrize("model", OF_THEIR_OWN, ids=lambda m: m.name)
def test_backward_equals_reference(model, recur):
    for shape in SHAPES:
        for ragged in (False, True):
            c = case(model, shape, recur=recur, ragged=ragged)
            g = gradients(c[0], shape, np.float32)
            a, b = (back(loops, c, g, model.Params._fields) for loops in (reference, cpu))
            check_equal(a, b, np.float32, shape)


@pytest.mark.parametrize(("name", "field"), (
    ("LIAFLSTM", "spike"), ("LIAFGRU", "spike"), ("LIAFLSTM", "c"), ("ALIF", "v"), ("LIAF", "v"),
))
def test_other_fields_that_recur(name, field):
    """Spikes that recur into several currents, as events; values beside spikes on lists; no bias."""
    model = NEURONS[name]
    c = case(model, SHAPES[0], recur=field, ragged=True, bias=False)
    a, b = (run(loops, c, everything(model)) for loops in (reference, cpu))
    assert a.out.spike.any()
    for x, y in ((a.out, b.out), (a.state, b.state), (a[3:4], b[3:4])):
        assert all(p.tobytes() == q.tobytes() for p, q in zip(x, y, strict=True))
    g = gradients(c[0], SHAPES[0], np.float32)
    a, b = (back(loops, c, g, model.Params._fields, r.tape) for loops, r in ((reference, a), (cpu, b)))
    assert sum(name.startswith("weight") for name in a) == len(model.recurrent)
    check_equal(a, b, np.float32, SHAPES[0])


@pytest.mark.parametrize("model", (NEURONS["ALIF"],), ids=lambda m: m.name)
def test_float64_and_real_valued_recurrence(model):
    """Smooth spikes recur as values, hard ones as events; both in float64."""
    for smooth in (True, False):
        c = case(model, SHAPES[0], dtype=np.float64, smooth=smooth, ragged=True)
        want, g = everything(model, events=not smooth), gradients(c[0], SHAPES[0], np.float64)
        runs = [run(loops, c, want) for loops in (reference, cpu)]
        for x, y in zip(*(r.out for r in runs), strict=True):
            assert np.abs(x - y).max() < 1e-14 if smooth else x.tobytes() == y.tobytes()     # erf is not ours
        a, b = (back(loops, c, g, model.Params._fields, r.tape)
                for loops, r in zip((reference, cpu), runs, strict=True))
        check_equal(a, b, np.float64, SHAPES[0])


@pytest.mark.parametrize("loops", (reference, cpu), ids=("reference", "cpu"))
def test_padding_changes_nothing(loops):
    """A sample of a ragged batch gives what it gives alone; padded steps are zero and without gradient."""
    model, shape = NEURONS["ALIF"], SHAPES[0]
    dynamics, x, start, recurrent = case(model, shape, ragged=True)
    whole = loops.population_forward(dynamics, copied(x), start, recurrent, everything(model))
    g = gradients(dynamics, shape, np.float32)
    grads = loops.population_backward(dynamics, whole.tape, recurrent, g, ())
    for b, n in enumerate(start.lengths):
        state = model.State(*(a[b:b + 1] for a in start.state))
        own = type(x)(*(np.ascontiguousarray(a[:n, b:b + 1]) for a in x))
        own_start = Start(start.coefficients, state, start.last[b:b + 1], None)
        alone = loops.population_forward(dynamics, own, own_start, recurrent, everything(model))
        for padded, wanted in zip(whole.out, alone.out, strict=True):
            assert padded[:n, b].tobytes() == wanted[:, 0].tobytes()
            assert not padded[n:, b].any()
        for after, wanted in zip(whole.state, alone.state, strict=True):
            assert (after[b] == wanted[0]).all()
        assert not any(a[n:, b].any() for a in grads.current)
        if n == 0:
            assert all((d[b] == d0[b]).all() for d, d0 in zip(grads.state, g.state, strict=True))
            assert (grads.last[b] == g.last[b]).all()


def test_the_fingerprint_of_a_loop_sees_helpers_of_a_model():
    """An edit of a function that a step calls must not meet an old compiled loop."""
    from numsnn.devices.jit import _with_helpers
    from numsnn.neurons import liaf_lstm
    assert {liaf_lstm.leak_adjoint, liaf_lstm.total} <= set(_with_helpers([NEURONS["LIAFLSTM"].step_adjoint]))


def test_without_a_tape_the_same_bits_and_only_what_was_asked_for():
    model = NEURONS["ALIF"]
    c = case(model, SHAPES[0])
    full, lean = run(cpu, c, everything(model)), run(cpu, c, Want(("v",), False, False))
    assert lean.out.v.tobytes() == full.out.v.tobytes()
    assert lean.out.spike is None
    assert lean.events is None
    assert lean.tape is None


@pytest.mark.parametrize("counts", (False, True), ids=("binary", "counts"))
def test_dense_events_values_and_reference_give_the_same_bits(counts, rng):
    x = rng.poisson(0.3, (6, 5, 23)) if counts else rng.random((6, 5, 23)) < 0.3
    weight, bias = (rng.normal(size=size).astype(np.float32) for size in ((23, 13), 13))
    forms = Spikes.from_dense(x), x.astype(np.float32)
    results = [loops.dense_forward(form, weight, bias) for loops in (reference, cpu) for form in forms]
    assert len({r.tobytes() for r in results}) == 1
    exact = x.astype(np.float64) @ weight + bias
    assert np.abs(results[0] - exact).max() < 30 * np.finfo(np.float32).eps * np.abs(exact).max()


@pytest.mark.parametrize("form", ("binary", "counts", "values"))
def test_dense_backward(form, rng):
    shape = (300, 5, 23)
    x = {"binary": rng.random(shape) < 0.1, "counts": rng.poisson(0.3, shape),
         "values": rng.normal(size=shape)}[form]
    weight, dy = rng.normal(size=(23, 13)), rng.normal(size=(300, 5, 13))
    source = x if form == "values" else Spikes.from_dense(x)
    rows, grad = x.reshape(-1, 23).astype(np.float64), dy.reshape(-1, 13)
    with cpu.one_thread():
        for loops in (reference, cpu):
            dweight, dbias, dx = loops.dense_backward(source, weight, dy, True)
            assert np.abs(dweight - rows.T @ grad).max() < 1e-11
            assert np.abs(dbias - grad.sum(0)).max() < 1e-11
            assert np.abs(dx - dy @ weight.T).max() < 1e-12
            assert loops.dense_backward(source, weight, dy, False)[2] is None


@pytest.mark.parametrize("ragged", (False, True), ids=("whole", "ragged"))
def test_many_units_go_to_blas_and_need_not(ragged, monkeypatch):
    """Products of wide populations by BLAS, by our loops where SciPy's cannot be pinned, by the reference."""
    from numsnn.devices.cpu import blas, population as cpu_population
    model, shape = NEURONS["LIF"], (6, 5, 67)
    c, g = case(model, shape, ragged=ragged), gradients(case(model, shape)[0], shape, np.float32)
    wanted = back(reference, c, g, ("alpha",))
    for usable in (True, False):
        monkeypatch.setattr(blas, "usable", lambda usable=usable: usable)
        assert cpu_population.in_place(67) == usable and not cpu_population.in_place(63)
        check_equal(wanted, back(cpu, c, g, ("alpha",)), np.float32, shape)


def test_tiny_gradients_are_flushed_inside_only():
    """A gradient that dies away ends at zero; the control word of the processor is as before."""
    model = NEURONS["LI"]
    dynamics, x, start, _ = case(model, (400, 1, 3), recur=False)
    halves = start.coefficients._make(np.full(3, 0.5, np.float32) for _ in start.coefficients)
    start = start._replace(coefficients=halves)
    tape = run(cpu, (dynamics, x, start, None), Want(("v",), False, True)).tape
    g = Gradients(model.Out(None), model.State(np.ones((1, 3), np.float32)), None)
    before = np.float32(1e-40) * np.ones(3, np.float32)
    dx = cpu.population_backward(dynamics, tape, None, g, ()).current.current
    assert (before * np.float32(0.5)).all() and dx[-1].all()
    size = np.abs(dx[dx != 0])
    flushes = platform.machine() in ("x86_64", "AMD64")
    assert not flushes or size.min() >= np.finfo(np.float32).tiny and not dx[0].any()


@pytest.mark.parametrize("loops", (reference, cpu), ids=("reference", "cpu"))
def test_softmax_cross_entropy(loops, rng):
    y = rng.normal(0, 5, (40, 6)).astype(np.float32)
    labels, weights = rng.integers(0, 6, 40), rng.random(40)
    weights[::7] = 0
    loss, dy = loops.softmax_cross_entropy(y, labels, weights)
    p = np.exp(y.astype(np.float64) - y.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    assert abs(loss + (weights * np.log(p[np.arange(40), labels])).sum()) < 1e-5
    exact = weights[:, None] * (p - np.eye(6)[labels])
    assert np.abs(dy - exact).max() < 1e-6
    assert not dy[::7].any()


def test_what_is_written_and_not_read_is_kept():
    """LLVM takes a private pointer for fresh memory, but must not for memory that ends with the function."""
    @njit(error_model="numpy")
    def clear(a):
        p = private(a)
        for i in range(np.uint64(a.size)):
            p[i] = 0

    a = np.ones(1000, np.float32)
    clear(a)
    assert not a.any()


@pytest.mark.parametrize("n", (1, 6, 16, 17, 36, 128, 131, 300))
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_rows_in_vectors(dtype, n, rng):
    """Rows added by index, and a row added to rows, in order and nothing behind the end.

    What does not vanish is listed; products.
    """
    rows, size = 23, lanes.lanes(dtype)
    wide = -(-n // size) * size
    counts = rng.integers(0, n + 1, rows)
    index = np.concatenate([np.sort(rng.permutation(n)[:c]) for c in counts]).astype(np.uint16)
    offsets = np.concatenate(([0], np.cumsum(counts)))
    lists = [index[offsets[r]:offsets[r + 1]] for r in range(rows)]
    weight, x = rng.normal(size=(n, n)).astype(dtype), rng.normal(size=(rows, n)).astype(dtype)
    y, out, a = x.copy(), np.zeros((n, wide), dtype), np.zeros((rows, wide), dtype)
    padded = np.pad(weight, ((0, 0), (0, wide - n)))
    many = np.zeros((rows, n), dtype)
    for r in range(rows):
        many[r, lists[r]] = 2
    spikes = np.append(many.ravel(), np.ones(lanes.WIDE)).astype(dtype)
    found, taken = np.zeros(rows * n + lanes.WIDE, np.uint16), np.zeros(rows, int)
    vectors(x, y, weight, padded, index, offsets, out, a, spikes, found, taken)
    want, sums = x.copy(), np.zeros((n, n), dtype)
    for r in range(rows):
        for i in lists[r]:
            want[r] += weight[i]
            sums[i] += x[r]
    assert y.tobytes() == want.tobytes() and np.array_equal(out[:, :n], sums) and not out[:, n:].any()
    assert np.abs(a[:, :n] - x @ weight).max() <= bound(dtype, n) * n and not a[:, n:].any()
    assert (taken == counts).all()
    assert all((found[r * n:r * n + len(own)] == own).all() for r, own in enumerate(lists))


@pytest.mark.parametrize(("features", "register"), (("", 16), ("+avx,+avx2,+fma", 32)))
def test_other_processors(features, register, tmp_path):
    """The same with shorter vectors, without the instructions of the longest.

    In a process of its own with an empty cache.
    """
    script = f"""
import numpy as np, test_loops
from numsnn.devices.cpu import lanes
assert (lanes.REGISTER, lanes.COMPRESSES) == ({register}, False), lanes.REGISTER
test = test_loops.test_rows_in_vectors
test = getattr(test, "__wrapped__", test)
for n in (1, 6, 36, 131):
    test(np.float32, n, np.random.default_rng(0))
model = test_loops.NEURONS["ALIF"]
test_loops.test_forward_equals_reference_bit_for_bit(model, True)
test_loops.test_backward_equals_reference(model, True)
print("done")
"""
    name = "generic" if register == 16 else "haswell"
    done = run_script(script, beside=__file__, NUMBA_CACHE_DIR=tmp_path, NUMBA_CPU_NAME=name,
                      NUMBA_CPU_FEATURES=features)
    assert done.stdout.strip() == "done", done.stderr


@njit(error_model="numpy")
def vectors(x, y, weight, padded, index, offsets, out, a, spikes, found, taken):
    rows, n, wide = np.uint64(x.shape[0]), np.uint64(x.shape[1]), np.uint64(padded.shape[1])
    zero, a_wide = np.uint64(0), np.uint64(a.shape[1])
    x, y, weight, index, flat, spikes, found = private((x, y, weight, index, out, spikes, found))
    for r in range(rows):
        first, last = np.uint64(offsets[r]), np.uint64(offsets[r + np.uint64(1)])
        add_rows(y, r * n, weight, n, index, first, last)
        lanes.add_to_rows((x, r * n), (flat, np.uint64(out.shape[1])), (index, first, last), n)
        taken[r] = compress(spikes, r * n, n, found, r * n)
    lanes.product((x, zero, n), (padded, zero, wide), (a, zero, a_wide), rows, n, wide)
