"""From the parameters of a distribution and uniform numbers to the next value."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from noiseforge.errors import UserError

SMALLEST_LOG_SCALE = -7.0
"""Of a logistic: half a step of 10 bits, so that no component is a spike between two values."""

EDGE = 1e-5
"""Uniforms are kept this far from 0 and 1, where the inverse of the logistic's cumulative distribution is infinite."""


def check_drawing(temperature: float, nucleus: float, *, continuous: bool) -> None:
    """Raises UserError unless values can be drawn so."""
    if not (temperature > 0 and math.isfinite(temperature)):
        raise UserError(f"a temperature is a number above 0, got {temperature}; 1 draws from the model as it is")
    if not 0 < nucleus <= 1:
        raise UserError(f"a nucleus is a share above 0 and at most 1, got {nucleus}; 1 keeps every code")
    if continuous and nucleus < 1:
        raise UserError(
            f"a nucleus is of codes and this model draws real numbers, got {nucleus}; lower its temperature"
        )


def draw(
    parameters: Tensor, uniforms: Tensor, *, levels: int, temperature: float = 1.0, nucleus: float = 1.0
) -> Tensor:
    """One value of each row by the inverse of the cumulative distribution.

    Sums are of float64 and in the order of the codes, so that every way to run a network draws the same from the same
    uniforms.

    Args:
        parameters: (N, levels) logits of codes; or with `levels` 0 (N, 3·M) of a mixture of M logistics: logits, means
            and log scales.
        uniforms: (N, 2) in [0, 1): one for the code or the component, one for the component's value.
        levels: codes; 0 for real numbers.
        temperature: divides logits and multiplies scales.
        nucleus: mass of the smallest set of codes that is kept (Holtzman et al. 2020).

    Returns:
        (N,) int64 codes, or float32 in [-1, 1].

    >>> draw(torch.tensor([[0.0, 0.0, 0.0, 0.0]]), torch.tensor([[0.6, 0.0]]), levels=4)
    tensor([2])
    >>> draw(torch.tensor([[0.0, 0.25, -2.0]]), torch.tensor([[0.0, 0.5]]), levels=0)
    tensor([0.2500])
    """
    logits, means, log_scales = (parameters, None, None) if levels else parameters.chunk(3, dim=1)
    # The largest is 0 before the division, which then cannot overflow to the wrong side.
    masses = ((logits - logits.amax(1, keepdim=True)).double() / temperature).softmax(1)
    if nucleus < 1:
        masses = _nucleus(masses, nucleus)
    chosen = _inverse(masses, uniforms[:, 0].double())
    if means is None or log_scales is None:
        return chosen
    mean, log_scale = (each.gather(1, chosen.unsqueeze(1)).squeeze(1).double() for each in (means, log_scales))
    u = uniforms[:, 1].double().clamp(EDGE, 1 - EDGE)
    scale = log_scale.clamp(min=SMALLEST_LOG_SCALE).exp() * temperature
    return (mean + scale * (u.log() - (-u).log1p())).clamp(-1, 1).float()


def _nucleus(masses: Tensor, nucleus: float) -> Tensor:
    """The masses, 0 but for the likeliest codes that together have the share `nucleus`; of equals the lower first."""
    ordered, order = masses.sort(dim=1, descending=True, stable=True)
    sums = ordered.cumsum(1)
    before = torch.cat([torch.zeros_like(sums[:, :1]), sums[:, :-1]], 1)
    return torch.zeros_like(masses).scatter(1, order, ordered.where(before < nucleus * sums[:, -1:], 0.0))


def _inverse(masses: Tensor, uniforms: Tensor) -> Tensor:
    """The first code of each row whose cumulative mass exceeds the share `uniforms` of all."""
    sums = masses.cumsum(1)
    place = torch.searchsorted(sums, sums[:, -1:] * uniforms.unsqueeze(1), right=True).squeeze(1)
    return place.clamp(max=masses.shape[1] - 1)
