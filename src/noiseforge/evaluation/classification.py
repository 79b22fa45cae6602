"""How well a classifier's probabilities fit the labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from noiseforge.errors import UserError
from noiseforge.evaluation.bootstrap import Interval, mean_interval, resampled_interval, wilson
from noiseforge.evaluation.figures import Better, Figure

BINS = 15
"""Of the calibration error (Guo et al. 2017)."""
OWN = "classifier"
"""What turned the examples into features: the classifier itself."""


def classification_figures(
    probability: Tensor, y: Tensor, *, classes: Sequence[str], seed: int = 0, note: str = ""
) -> tuple[Figure, ...]:
    """Accuracy, the lowest recall of a class, cross-entropy and calibration error, each with its 95 % interval.

    Args:
        probability: (N, K), of each class for each example.
        y: (N,) int64 true classes.
        classes: K names.
        seed: of the resampling by which the intervals of the last two are found; those of shares are Wilson's.
        note: what else belongs to the protocol.

    Raises:
        UserError: no examples, or shapes that do not fit each other.
    """
    if not len(y) or probability.shape != (len(y), len(classes)):
        raise UserError(
            f"classification needs probabilities (N, {len(classes)}) and labels (N,) of 1 example or more, "
            f"got {tuple(probability.shape)} and {tuple(y.shape)}"
        )
    right = probability.argmax(1) == y
    counts = torch.bincount(y, minlength=len(classes))
    hits = torch.bincount(y[right], minlength=len(classes))
    recall = torch.where(counts > 0, hits / counts.clamp_min(1), torch.inf)
    worst = int(recall.argmin())
    nats = cross_entropies(probability, y)
    draws = torch.Generator().manual_seed(seed)
    error = calibration_error(probability, y)
    accuracy = float(right.double().mean())
    least = f"of class {classes[worst]}, {int(counts[worst])} examples"

    def figure(metric: str, value: float, interval: Interval | None, better: Better, *notes: str) -> Figure:
        low, high = interval or (None, None)
        shown = "; ".join(filter(None, (*notes, note)))
        common = {"n_real": len(y), "n_fake": 0, "extractor": OWN, "seed": seed, "note": shown}
        return Figure(metric=metric, value=value, low=low, high=high, better=better, **common)

    return (
        figure("accuracy", accuracy, wilson(accuracy, len(y)), "higher"),
        figure("least_recall", float(recall[worst]), wilson(float(recall[worst]), int(counts[worst])), "higher", least),
        figure("cross_entropy", float(nats.mean()), mean_interval(nats, generator=draws), "lower", "nats an example"),
        figure(
            "calibration_error",
            error,
            _calibration_interval(probability, y, error, draws),
            "lower",
            f"expected calibration error, {BINS} bins",
        ),
    )


def cross_entropies(probability: Tensor, y: Tensor) -> Tensor:
    """-ln of the probability of the true class (N,), float64; that of the least number above 0 where it is 0."""
    taken = probability.double().gather(1, y[:, None])[:, 0]
    return -taken.clamp_min(torch.finfo(torch.float32).tiny).log()


def calibration_error(probability: Tensor, y: Tensor, bins: int = BINS) -> float:
    """The mean distance of confidence and accuracy over equal bins of confidence (Guo et al. 2017, eq. 3).

    >>> sure = torch.tensor([[0.9, 0.1]]).repeat(10, 1)
    >>> round(calibration_error(sure, torch.tensor([0] * 8 + [1] * 2)), 3)
    0.1
    """
    confidence, named = probability.double().max(1)
    surplus = confidence - (named == y).double()
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    return float(torch.zeros(bins, dtype=torch.float64).index_add_(0, place, surplus).abs().sum() / len(y))


def _calibration_interval(probability: Tensor, y: Tensor, value: float, draws: torch.Generator) -> Interval | None:
    rows = torch.arange(len(y))
    return resampled_interval(
        lambda chosen: calibration_error(probability[chosen], y[chosen]), rows, value=value, generator=draws
    )
