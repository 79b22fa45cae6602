"""What the training loop measures every few percent of a run: is the generator alive, varied and on target?

Every measure is relative to real data at the same N, so that one threshold serves every data set: a ratio of
distances, a share, or a difference of logits over their own spread. `diagnosis.py` draws the verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, one_hot

from noiseforge.errors import Diverged, UserError

CELLS = 16
"""Cells into which real examples are cut, to see how samples are spread over them."""
FILLED = 4 * CELLS
"""Examples below which cells are single examples, and say no more than coverage does."""
NEIGHBOURS = 5
"""k of precision, recall and coverage."""
REPEAT_DISTANCE = 0.5
"""Samples repeat when they are nearer than this share of what the closest hundredth of real pairs are."""


def measure(
    samples: Tensor,
    real: Tensor,
    real_logits: Tensor | None = None,
    fake_logits: Tensor | None = None,
    *,
    held_out_logits: Tensor | None = None,
    features: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, float]:
    """The health of a model from samples, as many random training examples, and logits where there is a discriminator.

    Args:
        samples: (N, ...) generated.
        real: (N, ...) random training examples; where the counts differ, the first of the longer are used.
        real_logits: (n,) or (n, 1), D of training examples; None without a discriminator.
        fake_logits: (m,) or (m, 1), D of samples; None without one.
        held_out_logits: (h,) D of real examples that it was never trained on.
        features: a frozen map (N, ...) -> (N, d) in which distances are taken; None takes them on the values,
            of pictures at no more than 32 x 32.

    Returns:
        `pairwise_ratio`: mean distance between two samples over that of two real examples; healthy near 1.
        `precision`, `recall`: Kynkäänniemi et al. 2019.
        `coverage`: Naeem et al. 2020, eq. 6; `coverage_floor(N)` is the best to expect.
        `cell_overlap`: how alike samples and real examples are spread over 16 cells of the real examples, after
        Richardson and Weiss 2018; `overlap_floor(N)` is the best to expect. Samples may be a little
        off, which coverage does not forgive. Left out below 64 examples, of which too few fall into a cell.
        `repeat_share`: share of samples with a near-copy among the samples; `repeat_floor`: of the real ones.
        `discriminator_wins`: share of pairs in which D(real) > D(sample); at 0.5, D cannot tell.
        `logit_gap`: mean D(real) - mean D(sample).
        `held_out_gap` (with held-out logits): the share of that gap that is lost on unseen real examples,
        after Karras et al. 2020 (ADA), eq. 1; 0 is healthy, 1 overfitted.
        `count`: the N of the above.

    Raises:
        UserError: fewer than two examples, or shapes that differ.
        Diverged: values that are not finite.

    >>> x = torch.randn(64, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    >>> same = measure(x[:1].expand(64, -1, -1, -1), x, x.new_ones(64), x.new_zeros(64))
    >>> same["pairwise_ratio"], same["repeat_share"], same["discriminator_wins"]
    (0.0, 1.0, 1.0)
    """
    logits = {"D(real)": real_logits, "D(sample)": fake_logits, "D(held out)": held_out_logits}
    for name, values in {"samples": samples, "real examples": real, **logits}.items():
        if values is not None:
            _check_finite(name, values)
    if samples.shape[1:] != real.shape[1:]:
        raise UserError(
            f"health expects samples of the real examples' shape {tuple(real.shape[1:])}, "
            f"got {tuple(samples.shape[1:])}"
        )
    measures = _distances(samples, real, features or _pixels)
    if real_logits is None or fake_logits is None:
        return measures
    measures |= _discrimination(real_logits, fake_logits)
    if held_out_logits is not None:
        measures["held_out_gap"] = _held_out_gap(real_logits, fake_logits, held_out_logits)
    return measures


def coverage_floor(count: int, neighbours: int = NEIGHBOURS) -> float:
    """The expected coverage of real data by as much other real data (Naeem et al. 2020, section 3.3).

    >>> round(coverage_floor(256), 3), round(coverage_floor(10_000), 3)
    (0.97, 0.969)
    """
    k = min(neighbours, count - 1)
    missed = 1.0
    for i in range(k):
        missed *= (count - 1 - i) / (2 * count - 1 - i)
    return 1 - missed


def overlap_floor(count: int) -> float:
    """The expected `cell_overlap` of real data with as much other real data, over cells of equal shares.

    >>> round(overlap_floor(256), 2)
    0.86
    """
    return max(0.0, 1 - math.sqrt((min(CELLS, count) - 1) / (math.pi * count)))


def _distances(samples: Tensor, real: Tensor, features: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """What the three distance matrices between and within samples and real examples tell."""
    count = min(len(samples), len(real))
    if count < 2:
        raise UserError(f"health needs at least 2 samples and 2 real examples, got {len(samples)} and {len(real)}")
    fake_features, real_features = (features(x[:count]).flatten(1).float() for x in (samples, real))
    real_real = _apart(real_features)
    fake_fake = _apart(fake_features)
    fake_real = torch.cdist(fake_features, real_features)
    k = min(NEIGHBOURS, count - 1)
    real_radius, fake_radius = (d.kthvalue(k, dim=1).values for d in (real_real, fake_fake))
    near = REPEAT_DISTANCE * real_real.amin(dim=1).quantile(0.01)
    scale = _mean_apart(real_real).clamp_min(torch.finfo(torch.float32).tiny)
    measures = {
        "pairwise_ratio": _mean_apart(fake_fake) / scale,
        "precision": (fake_real <= real_radius).any(dim=1).double().mean(),
        "recall": (fake_real <= fake_radius[:, None]).any(dim=0).double().mean(),
        "coverage": (fake_real.amin(dim=0) <= real_radius).double().mean(),
        "repeat_share": (fake_fake.amin(dim=1) <= near).double().mean(),
        "repeat_floor": (real_real.amin(dim=1) <= near).double().mean(),
    }
    if count >= FILLED:
        measures["cell_overlap"] = _cell_overlap(fake_features, real_features)
    return {name: value.item() for name, value in measures.items()} | {"count": float(count)}


def _cell_overlap(fake: Tensor, real: Tensor) -> Tensor:
    """One minus the total variation between the shares of the cells, which are k-means cells of the real."""
    centres = real[:CELLS]
    for _ in range(10):
        belongs = one_hot(torch.cdist(real, centres).argmin(dim=1), len(centres)).to(real.dtype)
        sizes = belongs.sum(dim=0)[:, None]
        centres = torch.where(sizes > 0, belongs.T @ real / sizes.clamp_min(1), centres)
    shares = [
        torch.bincount(torch.cdist(x, centres).argmin(dim=1), minlength=len(centres)) / len(x) for x in (real, fake)
    ]
    return torch.minimum(*shares).sum()


def _discrimination(real_logits: Tensor, fake_logits: Tensor) -> dict[str, float]:
    """How well D tells real from generated: the area under its ROC curve, and the gap of means."""
    real, fake = (x.detach().flatten().double() for x in (real_logits, fake_logits))
    difference = real[:, None] - fake
    return {
        "discriminator_wins": ((difference > 0).double() + 0.5 * (difference == 0).double()).mean().item(),
        "logit_gap": (real.mean() - fake.mean()).item(),
    }


def _held_out_gap(real_logits: Tensor, fake_logits: Tensor, held_out_logits: Tensor) -> float:
    """ADA's overfitting ratio, its denominator never below the logits' own spread.

    A generator that fools D brings the plain ratio to 0 / 0; by the spread it goes to 0 instead.
    """
    real, fake, held = (x.detach().flatten().double() for x in (real_logits, fake_logits, held_out_logits))
    spread = torch.cat([real - real.mean(), held - held.mean()]).square().mean().sqrt()
    denominator = torch.maximum(real.mean() - fake.mean(), spread)
    if denominator <= 0:
        return 0.0
    return ((real.mean() - held.mean()) / denominator).item()


def _apart(x: Tensor) -> Tensor:
    """Distances between the rows of x (N, d), with an infinite one from each row to itself."""
    # The matrix form loses half of the digits to cancellation: identical rows must come out at exactly 0.
    distances = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.fill_diagonal_(torch.inf)


def _mean_apart(distances: Tensor) -> Tensor:
    """The mean over pairs of different rows."""
    return distances.masked_fill(distances.isinf(), 0).sum() / (len(distances) * (len(distances) - 1))


def _pixels(x: Tensor) -> Tensor:
    """The values themselves; of pictures larger than 32 x 32 their means over as many fields."""
    return adaptive_avg_pool2d(x, 32) if x.ndim == 4 and min(x.shape[2:]) > 32 else x


def _check_finite(name: str, values: Tensor) -> None:
    broken = int((~torch.isfinite(values)).sum())
    if broken or not values.numel():
        raise Diverged(f"health expects finite {name}, got {broken} of {values.numel()} values NaN or infinite")
