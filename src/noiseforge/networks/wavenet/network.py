"""The network of WaveNet: causal dilated convolutions with gates, a residual path and joined skips.

van den Oord et al. 2016. Signals are (N, T, channels), so that every convolution is one matrix product over channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad
from torch.nn.utils.parametrizations import weight_norm

from noiseforge.networks.blocks import GAINS, initialise, scaled
from noiseforge.networks.wavenet.weights import Weights

RESIDUAL_SCALE = math.sqrt(0.5)
"""Keeps the variance of a sum of two signals that do not depend on each other."""
UNIT_GAIN = 2.94
"""1 / √E[(tanh(a) σ(b))²] of a, b ~ N(0, 1): what keeps the scale of a signal through a gated unit."""


class CausalNetwork(nn.Module):
    """What has been heard up to each moment, to the parameters of what comes next.

    Output t has seen inputs t - `receptive_field` + 1 ... t, and none after; before the first every layer sees zeros.
    Input t is the value before the one that output t describes, and the condition at t is of the latter's moment.

    Args:
        levels: of the input, which are codes (N, T) int64; 0 for an input of real numbers (N, T).
        outputs: parameters of the distribution of the next value.
        dilations: of each layer, in samples.
        kernel: taps of a layer.
        residual: channels of the residual path.
        gate: channels of the gated units, half of them for the tanh and half for the sigmoid.
        skip: channels of the skips and of the hidden layer after them.
        conditions: channels of what is known beside the past; 0 for none.
        hop: samples for which one frame of it holds.
        dropout: of the input of each layer's convolution while training.
        normalised: weights are held as a length and a direction (Salimans & Kingma 2016).
    """

    def __init__(
        self,
        *,
        levels: int,
        outputs: int,
        dilations: tuple[int, ...],
        kernel: int = 2,
        residual: int = 32,
        gate: int = 64,
        skip: int = 128,
        conditions: int = 0,
        hop: int = 1,
        dropout: float = 0.0,
        normalised: bool = False,
    ) -> None:
        super().__init__()
        self.dilations, self.kernel, self.hop = dilations, kernel, hop
        self.dropout, self.normalised, self.continuous = dropout, normalised, levels == 0
        half = gate // 2
        self.first = nn.Linear(1, residual) if self.continuous else nn.Embedding(levels, residual)
        self.gates = nn.ModuleList(nn.Linear(kernel * residual, gate) for _ in dilations)
        # What the last layer would give to the residual path, nobody hears.
        self.residuals = nn.ModuleList(nn.Linear(half, residual) for _ in dilations[1:])
        self.skips = nn.Linear(len(dilations) * half, skip)
        self.hidden = nn.Linear(skip, skip)
        self.output = nn.Linear(skip, outputs)
        self.conditions = nn.Linear(conditions, len(dilations) * gate, bias=False) if conditions else None

    @property
    def receptive_field(self) -> int:
        """Samples that one output has seen, its own moment included."""
        return (self.kernel - 1) * sum(self.dilations) + 1

    def initialise(self, rng: torch.Generator) -> None:
        """Draws all weights, which keep the scale of a signal from layer to layer; the output starts near 0."""
        initialise(self, rng, scaled(1.0))
        for layer in (*self.residuals, self.skips):
            initialise(layer, rng, scaled(UNIT_GAIN))
        initialise(self.hidden, rng, scaled(GAINS["relu"]))
        initialise(self.output, rng, scaled(0.1))
        for layer in [*self.gates, *self.residuals, self.skips, self.hidden] if self.normalised else []:
            weight_norm(layer)

    def forward(self, x: Tensor, condition: Tensor | None = None, *, drops: torch.Generator | None = None) -> Tensor:
        """Parameters (N, T, outputs) of the distribution of what follows each of the inputs.

        Args:
            x: (N, T), codes or real numbers.
            condition: (N, F, conditions), F frames of `hop` outputs each, or one frame for all.
            drops: draws what is dropped, on the device of x; None drops nothing.
        """
        signal = self.first(x.unsqueeze(-1) if self.continuous else x)
        kind = _kind_of_products(signal)
        known = self.condition(condition)
        heard = []
        for layer, (dilation, gates) in enumerate(zip(self.dilations, self.gates, strict=True)):
            # The residual path stays as exact as it is; what is copied for the taps is as short as what multiplies it.
            both = _product(gates, self._taps(self._dropped(signal, drops).to(kind), dilation))
            if known is not None:
                both = both + self._at_each_moment(known[:, :, layer], x.shape[1])
            filtered, gate = both.chunk(2, dim=-1)
            # torch's bfloat16 sigmoid of every other stretch takes eight times that of all in a row.
            heard.append(filtered.tanh() * gate.contiguous().sigmoid())
            if layer < len(self.residuals):
                signal = (signal + _product(self.residuals[layer], heard[-1])) * RESIDUAL_SCALE
        skipped = _product(self.skips, torch.cat(heard, -1)).relu()
        return _product(self.output, _product(self.hidden, skipped).relu())

    def condition(self, condition: Tensor | None) -> Tensor | None:
        """What each layer's gates are told in each frame, (N, F, layers, gate): once for a whole utterance."""
        if self.conditions is None or condition is None:
            return None
        told: Tensor = self.conditions(condition)
        return told.unflatten(-1, (len(self.dilations), -1))

    def weights(self) -> Weights:
        """The weights for generation: float32, on the CPU, normalised ones multiplied out."""

        def plain(tensor: Tensor | nn.Module) -> Tensor:
            assert isinstance(tensor, Tensor)
            return tensor.detach().float().cpu().contiguous()

        first = self.first
        table = torch.stack([first.weight[:, 0], first.bias]) if isinstance(first, nn.Linear) else first.weight
        return Weights(
            dilations=self.dilations,
            kernel=self.kernel,
            continuous=self.continuous,
            first=plain(table),
            gates=tuple(plain(layer.weight) for layer in self.gates),
            gate_biases=tuple(plain(layer.bias) for layer in self.gates),
            residuals=tuple(plain(layer.weight) for layer in self.residuals),
            residual_biases=tuple(plain(layer.bias) for layer in self.residuals),
            skips=plain(self.skips.weight),
            skip_bias=plain(self.skips.bias),
            hidden=plain(self.hidden.weight),
            hidden_bias=plain(self.hidden.bias),
            output=plain(self.output.weight),
            output_bias=plain(self.output.bias),
        )

    def _at_each_moment(self, frames: Tensor, length: int) -> Tensor:
        """(N, F, gate) -> (N, length, gate), or as it is where one frame holds for all."""
        return frames if frames.shape[1] == 1 else frames.repeat_interleave(self.hop, 1)[:, :length]

    def _dropped(self, signal: Tensor, drops: torch.Generator | None) -> Tensor:
        """Each value 0 with the probability `dropout`, and the others raised so that their mean stays."""
        if not self.dropout or drops is None:
            return signal
        kept = torch.rand(signal.shape, generator=drops, device=signal.device) >= self.dropout
        return signal * kept / (1 - self.dropout)

    def _taps(self, signal: Tensor, dilation: int) -> Tensor:
        """(N, T, kernel·residual): the oldest tap first, zeros before the beginning."""
        lags = [min(tap * dilation, signal.shape[1]) for tap in range(self.kernel - 1, 0, -1)]
        return torch.cat([*(pad(signal, (0, 0, lag, -lag)) for lag in lags), signal], -1)


def _kind_of_products(x: Tensor) -> torch.dtype:
    """What products with x are computed in: its own type, or that of autocast."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def _product(layer: nn.Module, x: Tensor) -> Tensor:
    """layer(x) of a linear layer, (N, T, inputs) -> (N, T, outputs), on the fastest way there is."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor) and isinstance(bias, Tensor)
    exact = x.dtype == weight.dtype == torch.float32 and _kind_of_products(x) == torch.float32
    if not (exact and x.device.type == "cpu" and torch.backends.mkldnn.is_available()):
        product: Tensor = layer(x)
        return product
    # oneDNN's convolutions have up to 2.4 times the rate of MKL's float32 matrix products on AMD's AVX-512, and no less
    # on AVX2. A convolution of one tap goes to oneDNN for every batch and number of threads only where it is dilated,
    # which changes nothing of it.
    columns = conv2d(x.transpose(1, 2).unsqueeze(2), weight[:, :, None, None], bias, dilation=2)
    return columns.squeeze(2).transpose(1, 2)
