"""One adaptive neuron: a step of current, and a threshold that rises with every spike.

    python examples/01_one_neuron.py            writes runs/one_neuron.png
"""

from pathlib import Path

import numpy as np

import numsnn as ns

# One ALIF neuron without a layer in front: its input is the current itself.
# Sequences are (time, batch, features).
net = ns.Network(ns.ALIF(1, tau_mem=20, tau_adp=80, v_threshold=0.1, beta=1.0))
current = np.zeros((300, 1, 1))
current[40:220] = 0.7

spikes, state, seen = net.run(current, record={"alif0": ("v", "theta")})
times = np.flatnonzero(spikes[:, 0, 0])
intervals = np.diff(times)
print(f"{len(times)} spikes; the first intervals {intervals[:4]} grow to {intervals[-3:]} steps: "
      "the neuron adapts")

# The same, one step at a time, with the state in the open: the same bits.
state, by_step = None, []
for x in current:
    y, state = net.step(x, state)
    by_step.append(y)
print("step by step gives the same bits:", np.array(by_step).tobytes() == spikes.tobytes())

fig, (top, bottom) = ns.plot.figure(7, 3.4, 2, 1, sharex=True, height_ratios=(1, 3))
top.plot(current[:, 0, 0], color=ns.plot.INK, lw=1)
top.set_ylabel("current")
v, theta = (seen["alif0"][field][:, 0, 0] for field in ("v", "theta"))
ns.plot.membrane(bottom, np.arange(300), v, theta, spikes[:, 0, 0])
bottom.set(xlabel="time step", ylabel="potential", xlim=(0, 299))
Path("runs").mkdir(exist_ok=True)
print("written to", ns.plot.save(fig, "runs/one_neuron.png"))
