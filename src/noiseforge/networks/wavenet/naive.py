"""The reference: the whole convolution over the receptive field, once for each sample."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv1d, linear, pad

from noiseforge.networks.wavenet.draw import draw
from noiseforge.networks.wavenet.stepper import ROOT_HALF, Stepper
from noiseforge.networks.wavenet.weights import Weights


class Naive(Stepper):
    """Remembers the last `receptive_field` inputs and conditions, and nothing that was computed from them."""

    def __init__(self, weights: Weights, n: int, *, start: float | None = None) -> None:
        super().__init__(weights, n, start=start)
        layers, gate = len(weights.dilations), len(weights.gates[0])
        self._inputs = torch.empty(n, 0, dtype=self.kind)
        self._conditions = torch.empty(n, 0, layers, gate)

    def _draw(
        self, values: Tensor, uniforms: Tensor, condition: Tensor | None, temperature: float, nucleus: float
    ) -> None:
        for step in range(values.shape[1]):
            parameters = self._next(condition, step)
            drawn = draw(parameters, uniforms[:, step], levels=self.levels, temperature=temperature, nucleus=nucleus)
            values[:, step] = self.last = drawn

    def _hear(self, values: Tensor, condition: Tensor | None, outputs: Tensor | None) -> None:
        for step in range(values.shape[1]):
            parameters = self._next(condition, step)
            if outputs is not None:
                outputs[:, step] = parameters
            self.last = values[:, step].clone()

    def _state(self) -> dict[str, Tensor]:
        return {"last": self.last, "inputs": self._inputs, "conditions": self._conditions}

    def _load(self, state: dict[str, Tensor]) -> None:
        self.last, self._inputs, self._conditions = state["last"], state["inputs"], state["conditions"]

    def _fits(self, came: Tensor, expected: Tensor, name: str) -> bool:
        if name == "last":
            return super()._fits(came, expected, name)
        same = came.shape[2:] == expected.shape[2:] and came.dtype == expected.dtype
        return same and len(came) == self.n and came.shape[1] <= self.receptive_field

    def _next(self, condition: Tensor | None, step: int) -> Tensor:
        """The parameters (n, outputs) of what follows the last value."""
        kept = self.receptive_field
        self._inputs = torch.cat([self._inputs, self.last.unsqueeze(1)], 1)[:, -kept:]
        if condition is not None:
            told = condition[:, step : step + 1] if condition.shape[1] > 1 else condition
            # Where nothing was told before, that was nothing to add.
            before = self._inputs.shape[1] - 1 - self._conditions.shape[1]
            known = pad(self._conditions, (0, 0, 0, 0, max(before, 0), 0))
            self._conditions = torch.cat([known, told], 1)[:, -kept:]
        elif self._conditions.shape[1]:
            self._conditions = pad(self._conditions, (0, 0, 0, 0, 0, 1))[:, -kept:]
        return window(self.weights, self._inputs, self._conditions if self._conditions.shape[1] else None)[:, -1]


def window(weights: Weights, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
    """Parameters (N, T, outputs) of what follows each input (N, T), given conditions (N, T, layers, gate).

    Before the first input every layer sees zeros.
    """
    first, heard = weights.first, []
    signal = (inputs.unsqueeze(2) * first[0] + first[1] if weights.continuous else first[inputs]).transpose(1, 2)
    for layer, dilation in enumerate(weights.dilations):
        kernel = weights.gates[layer].unflatten(1, (weights.kernel, -1)).transpose(1, 2)
        padded = pad(signal, ((weights.kernel - 1) * dilation, 0))
        both = conv1d(padded, kernel, weights.gate_biases[layer], dilation=dilation)
        if condition is not None:
            both = both + condition[:, :, layer].transpose(1, 2)
        filtered, gate = both.chunk(2, dim=1)
        heard.append(filtered.tanh() * gate.sigmoid())
        if layer < len(weights.residuals):
            change = conv1d(heard[-1], weights.residuals[layer].unsqueeze(2), weights.residual_biases[layer])
            signal = (signal + change) * ROOT_HALF
    skipped = linear(torch.cat(heard, 1).transpose(1, 2), weights.skips, weights.skip_bias).relu()
    return linear(linear(skipped, weights.hidden, weights.hidden_bias).relu(), weights.output, weights.output_bias)
