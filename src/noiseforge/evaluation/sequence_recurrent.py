"""Many small recurrent networks of one size, trained at once: what judges of sequences are made of.

A judge of three units keeps no processor busy, and a score asks for several judges. Their weights have a leading axis
of runs, every product is one over all runs, and the time that a step takes is shared.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


class Recurrent(nn.Module):
    """R independent stacks of gated recurrent units (Cho et al. 2014), each with a linear output of one value.

    As in TensorFlow 1, whose units the official scores are defined by, the reset gate acts before the product with the
    recurrent weights, weights are drawn from Glorot's uniform distribution over input and state together, and the bias
    of the gates starts at 1.

    Args:
        inputs: features D of a step.
        hidden: units H of a layer.
        layers: layers.
        generators: one for each run, which its weights are drawn with.
        dtype: of weights.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        layers: int,
        generators: list[torch.Generator],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        sizes = [(inputs if layer == 0 else hidden, hidden) for layer in range(layers)]
        drawn = [[_drawn(*size, generator, dtype) for size in sizes] for generator in generators]
        heads = [_glorot(1, hidden, generator, dtype) for generator in generators]
        runs = len(generators)
        self.layers = nn.ParameterList()
        for layer in range(layers):
            for weights in zip(*(of_run[layer] for of_run in drawn), strict=True):
                self.layers.append(nn.Parameter(torch.stack(weights)))
            self.layers.append(nn.Parameter(torch.ones(runs, 2 * hidden, 1, dtype=dtype)))
            self.layers.append(nn.Parameter(torch.zeros(runs, hidden, 1, dtype=dtype)))
        self.head = nn.Parameter(torch.stack(heads))
        self.bias = nn.Parameter(torch.zeros(runs, 1, 1, dtype=dtype))

    def forward(self, x: Tensor, length: Tensor, runs: slice = slice(None)) -> Tensor:
        """The states of the last layer, (T, R, H, B).

        After its end a series keeps its last state, so that the states at the last step are the final ones.

        Args:
            x: (T, R, D, B).
            length: (R, B).
            runs: those that x is for.
        """
        steps = torch.arange(len(x), device=x.device)[:, None, None, None]
        ended = steps >= length[:, None, :] if int(length.min()) < len(x) else None
        for first in range(0, len(self.layers), 6):
            of_gates, to_gates, of_candidate, to_candidate, gates, candidate = (
                self.layers[first + place][runs] for place in range(6)
            )
            before_gates = of_gates @ x + gates
            if ended is not None:  # an update gate of 1 keeps the state as it is, and passes no gradient
                ends = ended & (torch.arange(before_gates.shape[2], device=x.device) >= to_candidate.shape[1])[:, None]
                before_gates = before_gates.masked_fill(ends, torch.inf)
            x = _Unrolled.apply(before_gates, of_candidate @ x + candidate, to_gates, to_candidate)
        return x

    def outputs(self, states: Tensor, runs: slice = slice(None)) -> Tensor:
        """The linear output of states (..., R, H, B), (..., R, B)."""
        return (self.head[runs] @ states + self.bias[runs]).squeeze(-2)


def _drawn(inputs: int, hidden: int, generator: torch.Generator, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Weights of one layer: input to gates, state to gates, input to candidate, state to candidate."""
    both = [_glorot(rows, inputs + hidden, generator, dtype) for rows in (2 * hidden, hidden)]
    return tuple(part for weights in both for part in (weights[:, :inputs], weights[:, inputs:]))


def _glorot(rows: int, columns: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    limit = math.sqrt(6 / (rows + columns))
    return (torch.rand(rows, columns, generator=generator, dtype=dtype) * 2 - 1) * limit


class _Unrolled(torch.autograd.Function):
    """The states over time from all that comes from the inputs, with the gradient written out.

    Automatic differentiation would record a dozen tiny operations for each step, which take several times as long.
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, candidates: Tensor, to_gates: Tensor, to_candidate: Tensor) -> Tensor:
        hidden = candidates.shape[2]
        gates, candidates = gates.contiguous(), candidates.contiguous()
        opened, proposed = torch.empty_like(gates), torch.empty_like(candidates)
        states = candidates.new_zeros(len(candidates) + 1, *candidates.shape[1:])
        for step in range(len(candidates)):
            state, both = states[step], opened[step]
            torch.baddbmm(gates[step], to_gates, state, out=both).sigmoid_()
            reset, update = both[:, :hidden], both[:, hidden:]
            torch.baddbmm(candidates[step], to_candidate, reset * state, out=proposed[step]).tanh_()
            torch.lerp(proposed[step], state, update, out=states[step + 1])
        ctx.save_for_backward(opened, proposed, states, to_gates, to_candidate)
        return states[1:]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        opened, proposed, states, to_gates, to_candidate = ctx.saved_tensors
        hidden = proposed.shape[2]
        reset, update, before = opened[:, :, :hidden], opened[:, :, hidden:], states[:-1]
        # What a change of the new state does to the sums inside gates and candidate.
        through_candidate = (1 - update) * (1 - proposed.square())
        through_update = (before - proposed) * update * (1 - update)
        through_reset = before * reset * (1 - reset)
        in_gates, in_candidate = torch.empty_like(opened), torch.empty_like(proposed)
        from_gates, from_candidate = to_gates.transpose(1, 2), to_candidate.transpose(1, 2)
        state = torch.zeros_like(proposed[0])
        for step in range(len(proposed) - 1, -1, -1):
            state = state + gradients[0][step]
            torch.mul(state, through_candidate[step], out=in_candidate[step])
            of_reset = torch.bmm(from_candidate, in_candidate[step])
            in_gates[step, :, :hidden] = of_reset * through_reset[step]
            in_gates[step, :, hidden:] = state * through_update[step]
            kept = torch.addcmul(state * update[step], of_reset, reset[step])
            state = torch.baddbmm(kept, from_gates, in_gates[step])
        earlier = before.transpose(2, 3)
        of_gates = (in_gates @ earlier).sum(0)
        of_candidate = (in_candidate @ (before * reset).transpose(2, 3)).sum(0)
        return in_gates, in_candidate, of_gates, of_candidate
