"""A step from what each layer heard before: rings of signals, in torch."""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor

from noiseforge.networks.wavenet.draw import draw
from noiseforge.networks.wavenet.stepper import ROOT_HALF, Stepper
from noiseforge.networks.wavenet.weights import Weights


def ring_lengths(weights: Weights) -> list[int]:
    """Slots of each layer's ring: the oldest signal is read before the newest takes its place."""
    return [max(1, (weights.kernel - 1) * dilation) for dilation in weights.dilations]


class Queues(Stepper):
    """Each layer's inputs in a ring with a running index: a step costs the same however long the stream. Le Paine
    et al. 2016.

    The rings of all layers lie in one tensor, so that one operation reads the past of all layers, one multiplies it
    with their weights, and one writes what is new.
    """

    def __init__(self, weights: Weights, n: int, *, start: float | None = None) -> None:
        super().__init__(weights, n, start=start)
        residual, lengths = weights.first.shape[1], ring_lengths(weights)
        self._time = torch.zeros((), dtype=torch.int64)
        self._signals = torch.zeros(sum(lengths), n, residual)
        self._lengths = torch.tensor(lengths)
        self._offsets = torch.tensor([0, *accumulate(lengths)][:-1])
        steps = torch.arange(weights.kernel - 1, 0, -1)
        self._delays = torch.tensor(weights.dilations).unsqueeze(1) * steps
        past, now = zip(*(_taps(gates, residual) for gates in weights.gates), strict=True)
        self._past, self._now = torch.stack(past), now
        self._biases = torch.stack(weights.gate_biases).unsqueeze(1)
        self._residuals = [(residual * ROOT_HALF).T.contiguous() for residual in weights.residuals]
        self._residual_biases = [bias * ROOT_HALF for bias in weights.residual_biases]

    def _draw(
        self, values: Tensor, uniforms: Tensor, condition: Tensor | None, temperature: float, nucleus: float
    ) -> None:
        for step in range(values.shape[1]):
            parameters = self._conclude(self._step(condition, step))
            drawn = draw(parameters, uniforms[:, step], levels=self.levels, temperature=temperature, nucleus=nucleus)
            values[:, step] = self.last = drawn

    def _hear(self, values: Tensor, condition: Tensor | None, outputs: Tensor | None) -> None:
        for step in range(values.shape[1]):
            heard = self._step(condition, step)
            if outputs is not None:
                outputs[:, step] = self._conclude(heard)
            self.last = values[:, step].clone()

    def _state(self) -> dict[str, Tensor]:
        return {"last": self.last, "time": self._time, "signals": self._signals.transpose(0, 1)}

    def _load(self, state: dict[str, Tensor]) -> None:
        self.last, self._time = state["last"], state["time"]
        self._signals = state["signals"].transpose(0, 1).contiguous()

    def _step(self, condition: Tensor | None, step: int) -> Tensor:
        """What all layers hear (n, layers·half) as the last value enters."""
        weights = self.weights
        boths = self._heard_before()
        if condition is not None:
            boths = boths + condition[:, step if condition.shape[1] > 1 else 0].transpose(0, 1)
        first, last = weights.first, self.last
        signal = first[0] * last.unsqueeze(1) + first[1] if weights.continuous else first[last]
        entered, heard = [], []
        for layer, past in enumerate(boths.unbind()):
            filtered, gate = torch.addmm(past, signal, self._now[layer]).chunk(2, dim=1)
            entered.append(signal)
            heard.append(filtered.tanh() * gate.sigmoid())
            if layer < len(self._residuals):
                change = torch.addmm(self._residual_biases[layer], heard[-1], self._residuals[layer])
                signal = change.add_(signal, alpha=ROOT_HALF)
        self._signals.index_copy_(0, self._time % self._lengths + self._offsets, torch.stack(entered))
        self._time += 1
        return torch.cat(heard, 1)

    def _heard_before(self) -> Tensor:
        """What the past and the biases give to each layer's gates, (layers, n, gate)."""
        slots = (self._time - self._delays) % self._lengths.unsqueeze(1) + self._offsets.unsqueeze(1)
        layers, taps = slots.shape
        past = self._signals.index_select(0, slots.flatten()).unflatten(0, (layers, taps))
        return torch.baddbmm(self._biases, past.transpose(1, 2).flatten(2), self._past)

    def _conclude(self, heard: Tensor) -> Tensor:
        weights = self.weights
        skipped = torch.addmm(weights.skip_bias, heard, weights.skips.T).relu_()
        hidden = torch.addmm(weights.hidden_bias, skipped, weights.hidden.T).relu_()
        return torch.addmm(weights.output_bias, hidden, weights.output.T)


def _taps(gates: Tensor, residual: int) -> tuple[Tensor, Tensor]:
    """A layer's weights for the past and for now, (inputs, gate)."""
    return gates[:, :-residual].T.contiguous(), gates[:, -residual:].T.contiguous()
