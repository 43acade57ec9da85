"""What several tests compare: states bit for bit, one thread with two, gradients with central differences."""

import numpy as np

import numsnn as ns


def same_states(states, others):
    """Whether two dicts of states, name -> NamedTuple of arrays or None, hold the same bits."""
    for name, state in states.items():
        other = others[name]
        if (state is None) != (other is None):
            return False
        if state is not None and not same_bits(state, other):
            return False
    return True


def same_bits(arrays, others):
    return all(a.tobytes() == b.tobytes() for a, b in zip(arrays, others, strict=True))


def normal_like(state, rng, scale=1):
    """A state of the same kind and shapes, of normal numbers; None for None."""
    if state is None:
        return None
    return type(state)(*(rng.normal(size=a.shape) * scale for a in state))


def dot(arrays, gradients):
    """The linear function of some arrays that has these gradients."""
    return sum((a * d).sum() for a, d in zip(arrays, gradients, strict=True))


def central_difference(value, array, at, step=1e-6):
    """The derivative of value() with respect to array[at], which is put back as it was."""
    before = array[at]
    array[at] = before + step
    above = value()
    array[at] = before - step
    below = value()
    array[at] = before
    return (above - below) / (2 * step)


def check_gradients_of(value, pairs, rng, places):
    """Some places of each array in pairs (array, gradient) against central differences of value()."""
    for array, gradient in pairs:
        bound = 2e-7 * max(1, np.abs(gradient).max())
        for i in rng.permutation(array.size)[:places]:
            at = np.unravel_index(i, array.shape)
            assert abs(central_difference(value, array, at) - gradient[at]) < bound


def by_threads(run):
    """What run(), a loss_and_gradients, gives with one thread and with two: the same bytes."""
    before, found = ns.get_num_threads(), []
    try:
        for n in (1, 2):
            ns.set_num_threads(n)
            done = run()
            found.append(done.y.tobytes() + b"".join(g.tobytes() for g in done.grads.values()))
    finally:
        ns.set_num_threads(before)
    assert found[0] == found[1]
    return done
