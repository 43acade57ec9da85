"""Backpropagation through time by hand, in fifteen lines, and the library's beside it.

One ALIF neuron with a weight w, a connection v to itself and twelve inputs; the loss is the number of its
spikes.

    python examples/02_gradient_by_hand.py
"""

import numpy as np

import numsnn as ns

w, v, tau_mem, tau_adp, beta, b0 = 1.0, 0.5, 20.0, 7.0, 1.8, 0.01
x = np.array([float(k % 3 != 0) for k in range(1, 13)])
alpha, rho = np.exp(-1 / tau_mem), np.exp(-1 / tau_adp)
psi = ns.surrogate.multi_gaussian()             # the slope that stands for the derivative of a spike

# Forward, as Yin et al. write it: the threshold moves first, the reset takes the new threshold and the
# previous spike.
u, s, eta, tape = 0.0, 0.0, 0.01, []
for x_t in x:
    before, current = (u, s, eta), w * x_t + v * s
    eta = rho * eta + (1 - rho) * s
    theta = b0 + beta * eta
    u = alpha * u + (1 - alpha) * current - theta * s
    s = float(u > theta)
    tape.append((x_t, current, before, u, eta, theta))

# Backward: each line of the step in reverse order.
du = ds = deta = dw = dv = dalpha = drho = dbeta = db0 = 0.0
for x_t, current, (u_, s_, eta_), u, eta, theta in reversed(tape):
    d = (ds + 1) * float(psi(u - theta))        # s = H(u - theta); every spike adds 1 to the loss
    du += d                                     # u = alpha u_ + (1 - alpha) current - theta s_
    dtheta = -d - du * s_
    deta += beta * dtheta                       # theta = b0 + beta eta
    db0, dbeta = db0 + dtheta, dbeta + dtheta * eta
    dcurrent = (1 - alpha) * du                 # current = w x + v s_
    dw, dv = dw + dcurrent * x_t, dv + dcurrent * s_
    dalpha, drho = dalpha + du * (u_ - current), drho + deta * (eta_ - s_)
    ds = dcurrent * v + (1 - rho) * deta - theta * du
    du, deta = alpha * du, rho * deta           # eta = rho eta_ + (1 - rho) s_

by_hand = {"dense0.weight": dw, "alif0.recurrent": dv, "alif0.tau_mem": dalpha * alpha / tau_mem ** 2,
           "alif0.tau_adp": drho * rho / tau_adp ** 2, "alif0.beta": dbeta, "alif0.v_threshold": db0}

# The library, in float64.
net = ns.Network(
    ns.Dense(1, 1, weight=w, bias=False),
    ns.ALIF(1, recurrent=True, recurrent_init=v, tau_mem=tau_mem, tau_adp=tau_adp, beta=beta, v_threshold=b0,
            learn=("tau_mem", "tau_adp", "beta", "v_threshold")), dtype="float64")
state = net.initial_state(1)
state["alif0"] = state["alif0"]._replace(eta=np.full((1, 1), 0.01))
y, _, tape = net.forward(x[:, None, None], state)
grads, _ = net.backward(tape, np.ones_like(y))

print(f"spikes: {y[:, 0, 0].astype(int)}\n{'':20}{'by hand':>18}{'numsnn':>18}")
for name, value in by_hand.items():
    print(f"{name:20}{value:18.13f}{float(grads[name].item()):18.13f}")
print("\nagainst central differences, with the smooth twin of the spike:")
for name, error in ns.check_gradients(net, x[:, None, None], np.ones((12, 1, 1)), loss=ns.loss.MSE()).items():
    print(f"{name:24} error {error:.1e}")
