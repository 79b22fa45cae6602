"""mu-law companding: sound as codes whose steps grow with the level. ITU-T G.711; van den Oord et al. 2016, eq. 2."""

import math

import torch
from torch import Tensor


def mu_law_encode(x: Tensor, levels: int = 256) -> Tensor:
    """Values of any shape to codes 0 ... levels - 1, int64; what lies outside [-1, 1] is taken for its end.

    >>> mu_law_encode(torch.tensor([-1.0, 0.0, 1.0, 9.0])).tolist()
    [0, 128, 255, 255]
    """
    mu = levels - 1
    x = x.clamp(-1, 1)
    companded = x.sign() * torch.log1p(mu * x.abs()) / math.log1p(mu)
    return ((companded + 1) * (mu / 2) + 0.5).long().clamp_(0, mu)


def mu_law_decode(codes: Tensor, levels: int = 256) -> Tensor:
    """Codes of any shape to float32 values in [-1, 1], each in the middle of what is encoded so, companded.

    >>> mu_law_encode(mu_law_decode(torch.arange(256))).equal(torch.arange(256))
    True
    """
    mu = levels - 1
    companded = 2 * codes.double() / mu - 1
    return (companded.sign() * torch.expm1(companded.abs() * math.log1p(mu)) / mu).float()


def mu_law_edges(levels: int = 256) -> Tensor:
    """(levels - 1,) float64: the values at which one code ends and the next begins.

    >>> edges = mu_law_edges(4)
    >>> mu_law_encode(edges.float() + 1e-6, 4).tolist(), mu_law_encode(edges.float() - 1e-6, 4).tolist()
    ([1, 2, 3], [0, 1, 2])
    """
    mu = levels - 1
    companded = (2 * torch.arange(1, levels, dtype=torch.float64) - 1) / mu - 1
    return companded.sign() * torch.expm1(companded.abs() * math.log1p(mu)) / mu
