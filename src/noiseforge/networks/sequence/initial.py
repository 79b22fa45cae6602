"""The weights that a recurrent layer starts from."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from noiseforge.networks.blocks import normal

KEEPING: dict[type[nn.RNNBase], int] = {nn.LSTM: 1, nn.GRU: 1}
"""Which block of a layer's biases is the gate that keeps the state: f of (i, f, g, o), z of (r, z, n)."""


@torch.no_grad()
def initialise_layer(layer: nn.RNNBase, rng: torch.Generator, *, longest: float | None = None) -> None:
    """Draws the weights of a recurrent layer.

    Those of its input keep the scale of a signal, those of its state are orthogonal for each gate (Saxe et al. 2014).
    The gate that keeps the state begins with a bias of 1 (Jozefowicz et al. 2015), so that gradients reach back.

    Args:
        layer: nn.LSTM, nn.GRU or nn.RNN of one layer and direction.
        rng: draws all of them.
        longest: steps that the state may have to be kept for: that bias is then ln U(1, longest - 1), and an LSTM's
            input gate has the opposite one, so that some units forget soon and some late (Tallec and Ollivier 2018,
            eqs. 16 and 17).
    """
    size, weights = layer.hidden_size, dict(layer.named_parameters())
    normal(weights["weight_ih_l0"], 1 / math.sqrt(layer.input_size), rng)
    for block in weights["weight_hh_l0"].split(size):
        block.copy_(orthogonal(size, rng))
    for name in ("bias_ih_l0", "bias_hh_l0"):
        weights[name].zero_()
    if type(layer) not in KEEPING:
        return
    keeping = KEEPING[type(layer)]
    gates = weights["bias_ih_l0"].split(size)
    if longest is None or longest <= 3:
        gates[keeping].fill_(1)
        return
    drawn = torch.rand(size, generator=rng, device=rng.device).to(gates[0])
    gates[keeping].copy_((1 + (longest - 2) * drawn).log())
    if isinstance(layer, nn.LSTM):
        gates[0].copy_(-gates[keeping])


@torch.no_grad()
def initialise_uniformly(layer: nn.RNNBase, rng: torch.Generator) -> None:
    """Draws all weights and biases from U(-1 / √H, 1 / √H), H the units, as torch does by itself."""
    for weight in layer.parameters():
        drawn = torch.rand(weight.shape, generator=rng, device=rng.device).to(weight)
        weight.copy_((2 * drawn - 1) / math.sqrt(layer.hidden_size))


def orthogonal(size: int, rng: torch.Generator) -> Tensor:
    """A random orthogonal matrix, all of them equally likely (Mezzadri 2007)."""
    q, r = torch.linalg.qr(torch.randn(size, size, generator=rng, device=rng.device))
    return q * r.diagonal().sign()
