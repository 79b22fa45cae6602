"""The network of WaveNet: causal dilated convolutions with gates, a residual path and joined skips.

van den Oord et al. 2016. Signals are (N, T, channels), so that every convolution is one matrix product over channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
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
        known = self.condition(condition)
        heard = []
        for layer, (dilation, gates) in enumerate(zip(self.dilations, self.gates, strict=True)):
            both = gates(self._taps(self._dropped(signal, drops), dilation))
            if known is not None:
                both = both + self._at_each_moment(known[:, :, layer], x.shape[1])
            filtered, gate = both.chunk(2, dim=-1)
            heard.append(filtered.tanh() * gate.sigmoid())
            if layer < len(self.residuals):
                signal = (signal + self.residuals[layer](heard[-1])) * RESIDUAL_SCALE
        skipped = self.skips(torch.cat(heard, -1)).relu()
        parameters: Tensor = self.output(self.hidden(skipped).relu())
        return parameters

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
        reach = (self.kernel - 1) * dilation
        padded, length = pad(signal, (0, 0, reach, 0)), signal.shape[1]
        return torch.cat([padded[:, tap * dilation : tap * dilation + length] for tap in range(self.kernel)], -1)
