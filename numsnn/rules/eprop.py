"""`EProp`: eligibility propagation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..checked import checked
from ..devices.eligibility import Factors
from ..layers.layer import number
from ..loss import Loss
from ..network.network import Network
from .answers import Each
from .column import Column
from .feedback import Feedback
from .online import Online, through


class EProp(Online):
    """Eligibility propagation: the gradient of a network of spiking neurons, without a tape.

    A synapse, or a setting that is learned, p of neuron j keeps an eligibility vector eps, how its neuron's
    state s would be with another p, and what the neuron hands out, y, gives the eligibility trace e.  The
    gradient is their product with a learning signal L, which says how the loss E would be with another y:

        eps_t = (ds_t / ds_{t-1}) eps_{t-1} + ds_t / dp        e_t = (dy_t / ds_{t-1}) eps_{t-1} + dy_t / dp
        dE / dp = sum_t L_t^j  sum_{t' <= t} kappa^(t - t') e_t'

    All derivatives are those of one step of one neuron, by unit vectors through the model's `step_adjoint`:
    any neuron model has them.  What a recurrent synapse carries counts as its input; that other neurons'
    spikes would be others (the paths through the recurrent weights) is left out.  kappa: what the readout's
    membrane keeps of a step, for the populations before the readout; the readout's own traces need none.

    It is the gradient of BPTT, for a population without recurrence and a loss that sees what it hands out,
    and for one before a readout (LI) whose neurons leak alike.  With recurrence it is that of BPTT with the
    recurrent path cut.

    net: a stack of Dense layers and populations, and OverTime.  An answer at the end (OverTime "sum", "mean",
    "last" of values) takes the sum of the traces times the error at the end.
    loss: of numsnn.loss; None: CrossEntropy().  batch: samples B of each step.
    feedback: how errors come back: by the weights of the forward pass ("symmetric"), by matrices drawn at
    random ("random"), or by such that follow the changes of the weights ("adaptive").
    spatial: "exact", layer by layer within the step, through the derivative of each population; "direct",
    from the readout straight to each population, by random matrices where the weights have no such way.
    kappa: None takes the readout's (its mean where neurons differ; 0 where it hands out spikes).
    rng: of random matrices and random initial states.

    Memory is B R (C + 2) N numbers of a population, R its inputs and learned settings, C the numbers of its
    state: it does not depend on the number of steps.
    ValueError, naming the layer, where it cannot serve one, and what does.
    Source: Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of spiking
    neurons"; feedback "direct": broadcast alignment, its section on random e-prop.
    """

    @checked
    def __init__(self, net: Network, loss: Loss | Callable | None = None, *, batch: int = 1,
                 feedback: str = "symmetric", spatial: str = "exact", kappa: float | None = None,
                 rng: np.random.Generator | None = None):
        self.kappa = kappa if kappa is None else number(kappa, "EProp: kappa", "from 0 to below 1",
                                                        lambda k: 0 <= k < 1)
        super().__init__(net, loss, batch, rng)
        drawn = np.random.default_rng(0) if rng is None else rng
        self.use(Feedback(self.columns, feedback, spatial, drawn))

    def use(self, feedback: Feedback) -> None:
        """Take these matrices for the way back."""
        if not isinstance(feedback, Feedback):
            raise TypeError(f"EProp: use takes the feedback of another EProp; got {type(feedback).__name__}")
        self.feedback, self._stale = feedback, True
        if not isinstance(self.answer, Each) and len(self.columns) > 2 and feedback.spatial == "exact":
            raise ValueError('EProp: of an answer at the end of a sequence the error reaches several hidden '
                             'populations by spatial="direct" only; or end with OverTime("each") and labels '
                             'for each step')

    def _prepare(self):
        super()._prepare()
        top = self.columns[-1]
        leak, self.gain = top.at_rest(top.population.output)
        reads_membrane = top.population.output == "v"
        one_current = len(top.model.Inputs._fields) == 1
        if reads_membrane and one_current and len(self.columns) > 1 and not self.gain.any():
            raise ValueError(f"EProp: the membranes of {top.place.population}, {top.population.describe()}, "
                             f"do not feel the current of the same step, and no error gets back through "
                             f'them; read out by ns.LI(n), or use rule="bptt"')
        own = float(leak.astype(np.float64).mean()) if reads_membrane else 0.0
        self._of_readout = own if self.kappa is None else self.kappa
        self.matrices = self.feedback.matrices(self.columns)

    def _kappa(self, column: Column) -> float:
        return 0.0 if column is self.columns[-1] else self._of_readout

    def _learn(self, signal: np.ndarray, told: bool) -> None:
        error = None
        for i in reversed(range(len(self.columns))):
            column = self.columns[i]
            back = column.learn(signal, Factors(self._kappa(column), 1.0))
            if i == 0:
                break
            error = back if error is None or self.feedback.spatial == "exact" else error
            below = self.columns[i - 1].n
            signal = through(self.net.loops, error, self.matrices[i - 1]) if told \
                else np.zeros((*signal.shape[:2], below), signal.dtype)

    def _end(self, signal: np.ndarray) -> None:
        error = (signal * self.gain)[None]
        for i, column in enumerate(self.columns):
            own = signal if i == len(self.columns) - 1 else \
                through(self.net.loops, error, self.matrices[i])[0]
            for name, d in column.gradients(own).items():
                self._ended[name] = self._ended[name] + d if name in self._ended else d
