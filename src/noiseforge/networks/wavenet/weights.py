"""The weights of a causal network as plain tensors, and what one step of it computes."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Weights(NamedTuple):
    """All that generation needs: float32 on the CPU, rows are outputs, as `nn.Linear` holds them.

    One step, from the value at t - 1 to the distribution of that at t. There are R residual, G = 2·H gate and S skip
    channels, L layers and K taps:

    1. signal (R,) = first[code], or of a real number x first[0]·x + first[1].
    2. For each layer l: taps (K·R,) are the signals that entered this layer (K-1)·d, ..., d and 0 steps ago, the oldest
       first, zeros before the beginning; both (G,) = gates[l] @ taps + gate_biases[l] + condition[t, l];
       heard[l] (H,) = tanh(both[:H]) · sigmoid(both[H:]); and, but for the last layer,
       signal = (signal + residuals[l] @ heard[l] + residual_biases[l]) · √½.
    3. skipped (S,) = relu(skips @ concat(heard) + skip_bias); parameters = output @ relu(hidden @ skipped +
       hidden_bias) + output_bias.
    """

    dilations: tuple[int, ...]
    kernel: int
    continuous: bool
    """Whether the input is a real number and not a code."""
    first: Tensor
    """(levels, R), or of a continuous input (2, R): slope and offset."""
    gates: tuple[Tensor, ...]
    """L of (G, K·R)."""
    gate_biases: tuple[Tensor, ...]
    residuals: tuple[Tensor, ...]
    """L - 1 of (R, H)."""
    residual_biases: tuple[Tensor, ...]
    skips: Tensor
    """(S, L·H)."""
    skip_bias: Tensor
    hidden: Tensor
    """(S, S)."""
    hidden_bias: Tensor
    output: Tensor
    """(outputs, S)."""
    output_bias: Tensor
