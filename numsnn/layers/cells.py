"""Convolutional cells, made of layers: `ConvARLIF2D`, `ConvLSTM2D`."""

from collections.abc import Callable
from typing import Any

from ..checked import checked
from .conv import Conv2d, Size
from .initialise import Value
from .joins import Add, Adding, Block, Previous
from .models import ARLIF, LSTM


class ConvARLIF2D(Block):
    """ARLIF neurons whose input is a convolution: I_t = conv(x_t, W) + b, then ARLIF (see there) at each
    place of each channel.

    x: (T, B, channels_in, H, W) values or Spikes; y: (T, B, filters, H', W').  A drop-in for ConvLSTM2D with
    a fraction of its weights, kernel^2 channels_in filters + filters.  In the network's list it becomes a
    Conv2d and an ARLIF, and so it is saved.

    channels_in, filters, kernel, stride, padding, dilation, weight, bias: of the convolution, see Conv2d.
    name: of the ARLIF.  further keywords: of ARLIF; its threshold is one for the layer unless
    per_channel="v_threshold".  Source: see ARLIF.
    """

    @checked
    def __init__(self, channels_in: int, filters: int, kernel: Size = 3, *, stride: Size = 1,
                 padding: Size | str = 0, dilation: Size = 1, weight: Value = "xavier_uniform",
                 bias: Value | bool = "zeros", name: str | None = None, **arlif: Any):
        self.synapses = Conv2d(channels_in, filters, kernel, stride=stride, padding=padding,
                               dilation=dilation, weight=weight, bias=bias)
        self.neurons = ARLIF(None, name=name, **arlif)

    def layers_after(self, before: str, add: Adding, free: Callable[[str], str]) -> None:
        add(self.synapses)
        add(self.neurons)


class ConvLSTM2D(Block):
    """An LSTM whose products are convolutions, at each place of a picture, with h the last output and * a
    convolution:

        i, f, o = sigmoid(W_x * x_t + W_h * h_{t-1} + b),   g = tanh(...),
        c_t = f c_{t-1} + i g,   h_t = o tanh(c_t)

    x: (T, B, channels_in, H, W); y: (T, B, filters, H', W').  Gates in Keras' order (i, f, c, o) as blocks of
    `filters` channels; W_h keeps the size.  4 (kernel^2 (channels_in + filters) filters + filters) weights
    and biases.  In the network's list it becomes a Conv2d, a Previous, a Conv2d of the recurrence, an Add and
    an LSTM, and so it is saved; it runs in lockstep.  For every step instead of the last: no OverTime.

    channels_in, filters, kernel, stride, padding, dilation: of the convolution of x, see Conv2d.
    recurrent_init: of W_h.  forget_bias: added to the bias of f (Keras' unit_forget_bias: 1).  name: of the
    LSTM.  Source: Shi et al. 2015; Keras' layer of this name.
    """

    @checked
    def __init__(self, channels_in: int, filters: int, kernel: Size = 3, *, stride: Size = 1,
                 padding: Size | str = 0, dilation: Size = 1, weight: Value = "xavier_uniform",
                 bias: Value | bool = "zeros", recurrent_init: Value = "orthogonal", forget_bias: float = 1.0,
                 name: str | None = None):
        self.synapses = Conv2d(channels_in, 4 * filters, kernel, stride=stride, padding=padding,
                               dilation=dilation, weight=weight, bias=bias)
        if any(k % 2 == 0 for k in self.synapses.kernel):
            raise ValueError(f"ConvLSTM2D: the kernel of the recurrence must have a middle, so that it keeps "
                             f"the size; got {kernel!r}, use an odd number")
        middle = tuple(k // 2 for k in self.synapses.kernel)
        self.recurrence = Conv2d(filters, 4 * filters, kernel, padding=middle, weight=recurrent_init,
                                 bias=False)
        self.cell: dict[str, Any] = {"recurrent": False, "forget_bias": forget_bias, "shared": "forget_bias",
                                     "name": name}
        self.filters = filters

    def layers_after(self, before: str, add: Adding, free: Callable[[str], str]) -> None:
        name = self.cell["name"] or free("convlstm")
        x = add(self.synapses)
        add(Previous(name, like=(x, self.filters)))
        h = add(self.recurrence)
        add(Add(x, h))
        add(LSTM(None, **{**self.cell, "name": name}))
