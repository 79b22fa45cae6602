"""What a model of sound must beat: simple predictors of the next value, fitted to the training clips.

Each gives -log2 P of the codes of a clip (T,) float64, in bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

ORDER = 32
"""Past values of the linear prediction."""
FITTED = 200_000
"""Residuals that the scales of the linear prediction are fitted to."""
SCALES = tuple(2.0**-power for power in range(2, 15))
"""Of the logistics that its residuals are a mixture of: heavy tails and all, as speech has silence and bursts."""
ROUNDS = 30

Predictor = Callable[[Tensor], Tensor]
"""A clip (T,) float32 in [-1, 1] to the bits of each of its values (T,) float64."""


def uniform(levels: int) -> Predictor:
    """Every code is as likely as every other."""
    return lambda clip: torch.full((len(clip),), math.log2(levels), dtype=torch.float64)


def histogram(clips: Iterable[Tensor], encode: Callable[[Tensor], Tensor], levels: int) -> Predictor:
    """Codes are as likely as in the training clips, each counted once more."""
    counts = torch.ones(levels, dtype=torch.float64)
    for clip in clips:
        counts += torch.bincount(encode(clip), minlength=levels)
    bits = -(counts / counts.sum()).log2()
    return lambda clip: bits[encode(clip)]


def markov(clips: Iterable[Tensor], encode: Callable[[Tensor], Tensor], levels: int) -> Predictor:
    """A code given the one before it, by counts that lean on the histogram where there are few; silence comes first."""
    pairs = torch.zeros(levels * levels, dtype=torch.float64)
    for clip in clips:
        pairs += torch.bincount(_pairs(encode(clip), levels), minlength=levels * levels)
    table = pairs.view(levels, levels)
    overall = table.sum(0) + 1
    weight = math.sqrt(levels)
    smoothed = table + weight * overall / overall.sum()
    bits = -(smoothed / smoothed.sum(1, keepdim=True)).log2().flatten()
    return lambda clip: bits[_pairs(encode(clip), levels)]


def linear_prediction(
    clips: Callable[[], Iterator[Tensor]], edges: Tensor, encode: Callable[[Tensor], Tensor]
) -> Predictor:
    """A value is a weighted sum of the `ORDER` before it, and a residual from a mixture of logistics.

    The weights are least squares over all training clips; the shares of the logistics are fitted by expectation
    maximisation.

    Args:
        clips: makes the training clips, (T,) each, anew.
        edges: (levels - 1,) float64, where one code ends and the next begins.
        encode: values to codes.
    """
    products, targets = torch.zeros(ORDER, ORDER, dtype=torch.float64), torch.zeros(ORDER, dtype=torch.float64)
    for clip in clips():
        past = _past(clip)
        products += past.T @ past
        targets += past.T @ clip.double()
    ridge = 1e-9 * products.trace() / ORDER
    weights = torch.linalg.solve(products + ridge * torch.eye(ORDER, dtype=torch.float64), targets)
    shares = torch.full((len(SCALES),), 1 / len(SCALES), dtype=torch.float64)
    masses = torch.cat(list(_up_to(FITTED, (_masses(clip, weights, edges, encode) for clip in clips()))))
    for _ in range(ROUNDS):
        weighted = masses * shares
        shares = (weighted / weighted.sum(1, keepdim=True)).mean(0)
    return lambda clip: -(_masses(clip, weights, edges, encode) @ shares).log2()


def _masses(clip: Tensor, weights: Tensor, edges: Tensor, encode: Callable[[Tensor], Tensor]) -> Tensor:
    """(T, scales): what each logistic about the prediction gives to the code that came."""
    predicted, codes = _past(clip) @ weights, encode(clip)
    bounds = torch.cat([edges.new_tensor([-math.inf]), edges, edges.new_tensor([math.inf])])
    scales = edges.new_tensor(SCALES)
    low, high = (((bounds[codes + side] - predicted)[:, None] / scales) for side in (0, 1))
    # From the side on which both are small, where nothing cancels.
    flip = low > 0
    low, high = torch.where(flip, -high, low), torch.where(flip, -low, high)
    return (high.sigmoid() - low.sigmoid()).clamp_min(1e-12)


def _past(clip: Tensor) -> Tensor:
    """(T, ORDER) float64: the values before each, the newest first, silence before the beginning."""
    padded = torch.cat([torch.zeros(ORDER, dtype=torch.float64), clip.double()])
    return padded.unfold(0, ORDER, 1)[: len(clip)].flip(1)


def _pairs(codes: Tensor, levels: int) -> Tensor:
    """(T,): each code and the one before it as one number."""
    return torch.cat([codes.new_tensor([levels // 2]), codes[:-1]]) * levels + codes


def _up_to(count: int, parts: Iterable[Tensor]) -> Iterator[Tensor]:
    """Parts until they hold `count` rows together."""
    for part in parts:
        yield part
        count -= len(part)
        if count <= 0:
            return
