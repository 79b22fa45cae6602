"""What is measured of a trained model beside its samples: its codes, likelihood, time, memory and speed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import sqrt
from typing import Any, NamedTuple

import torch
from torch import Tensor

from noiseforge.data.samples import Samples
from noiseforge.data.spec import Data
from noiseforge.data.split import seeded
from noiseforge.evaluation.bits import bits_figures
from noiseforge.evaluation.bootstrap import Interval, normal_interval, wilson
from noiseforge.evaluation.figures import Better, Figure
from noiseforge.evaluation.likelihood import likelihood_figures
from noiseforge.networks.sequence.masks import known
from noiseforge.workflows.latent import MOST_PROBED, NEIGHBOURS, encodings, probe

EXAMPLES = 1000
"""Test examples, at most, whose reconstruction and likelihood are measured."""
LIKELIHOOD_SAMPLES = 500
TIMED, TIMED_CLIPS, TIMES = 512, 16, 5
"""Samples of a batch whose time is taken, of sound, which is made a value at a time, and how often."""


class Reconstruction(NamedTuple):
    """The error, and the test examples (n, *shape) in model units with what came back of them."""

    error: Figure
    originals: Tensor
    again: Tensor
    length: Tensor | None
    """(n,) of series that have lengths."""


def squared_errors(x: Tensor, again: Tensor, length: Tensor | None = None) -> Tensor:
    """(N,) float64, the mean of each example (N, *shape) over what of it is known: not gaps, nor after the end."""
    filled, there = known(x, length)
    squares = (again - filled).double().square() * there
    return squares.flatten(1).sum(1) / there.flatten(1).sum(1).clamp(min=1)


def reconstruction(model: Any, data: Data, seed: int, *, n: int = EXAMPLES) -> Reconstruction | None:
    """The mean squared error on n test examples by chance, the same for every model; None without an encoder."""
    if not hasattr(model, "encode"):
        return None
    order = torch.randperm(len(data.test), generator=seeded(seed, "reconstruction"))
    x, y, length, _ = data.test.batch(order[:n])
    again: Tensor = model.reconstruct(x, y if model.classes else None, length)
    errors = squared_errors(x, again, length)
    value = float(errors.mean())
    low, high = normal_interval(value, float(errors.std(correction=0)) / sqrt(max(len(errors) - 1, 1)))
    note = f"decoded from the means of the codes; model units; {len(errors)} random test examples"
    figure = _figure("reconstruction_error", value, Interval(max(low, 0.0), high), "lower", len(errors), seed, note)
    return Reconstruction(figure, x, again, length)


def probes(model: Any, data: Data, seed: int) -> tuple[Figure, ...]:
    """What a linear and a nearest-neighbour classifier read off the codes; nothing without labels of two classes."""
    known, unseen = data.train.labels, data.test.labels
    if not hasattr(model, "encode") or known is None or unseen is None:
        return ()
    train, test = (encodings(model, part, n=n, seed=seed) for part, n in ((data.train, MOST_PROBED), (data.test, None)))
    if train.y is None or len(train.y.unique()) < 2:
        return ()
    linear, neighbours = probe(train, test, seed=seed)
    n, share = len(unseen), float(unseen.bincount().max()) / len(unseen)
    note = (
        f"on the means of the codes of {len(train.mean)} training examples; all test examples; "
        f"the most frequent class is {share:.1%} of them"
    )
    if model.classes:
        note += "; conditional: the encoder was told the labels"
    return (
        _figure("linear_probe", linear, wilson(linear, n), "higher", n, seed, f"logistic regression {note}"),
        _figure("knn_probe", neighbours, wilson(neighbours, n), "higher", n, seed, f"{NEIGHBOURS} neighbours {note}"),
    )


def likelihood(
    model: Any, data: Data, seed: int, progress: Callable[[float], None], *, samples: int = LIKELIHOOD_SAMPLES
) -> tuple[tuple[Figure, ...], str]:
    """The figures, and what they are likelihoods of; nothing where the model has none."""
    if hasattr(model, "nats"):
        values = "steps" if model.continuous else "mu-law codes"
        return bits_figures(model, data, seed=seed, progress=progress), f"of {model.settings.levels:,} {values}"
    if not hasattr(model, "log_weights"):
        return (), ""
    figures = likelihood_figures(model, data, n=EXAMPLES, samples=samples, seed=seed, progress=progress)
    if model.binarises:
        return figures, "of binarised data"
    return figures, "of the data's levels" if model.discrete else "a density"


def samples_per_second(draw: Callable[[int, int], Samples], seed: int, *, batch: int = TIMED) -> float:
    """The median of five batches, after one that warms up. Samples arrive on the CPU, so that no device lags.

    Args:
        draw: takes a number of samples and a seed.
        seed: of the first batch.
        batch: samples that are asked for at once.
    """
    rates = []
    for turn in range(TIMES + 1):
        began = time.perf_counter()
        made = len(draw(batch, seed + turn).x)
        rates.append(made / max(time.perf_counter() - began, 1e-9))
    return statistics.median(rates[1:])


def training_seconds(records: Sequence[Mapping[str, object]]) -> float | None:
    """The time that a training took, of all its sessions together: the clock starts anew where one is resumed.

    >>> training_seconds([{"event": "train", "seconds": s} for s in (5.0, 9.0, 2.0, 4.0)])
    13.0
    """
    told = (record.get("seconds") for record in records if record.get("event") == "train")
    clock = [float(seconds) for seconds in told if isinstance(seconds, int | float)]
    if not clock:
        return None
    ends = [now for now, after in pairwise(clock) if after < now]
    return sum(ends) + clock[-1]


def peak_memory(records: Sequence[Mapping[str, object]]) -> int | None:
    """Bytes, as the last record of the training has them; None where it has not."""
    last = next((record for record in reversed(records) if record.get("event") == "train"), {})
    peak = last.get("peak_memory_bytes")
    return int(peak) if isinstance(peak, int | float) else None


def _figure(metric: str, value: float, interval: Interval, better: Better, n: int, seed: int, note: str) -> Figure:
    """A figure of n test examples: there are no samples in it."""
    low, high = interval
    protocol: dict[str, Any] = {"n_real": n, "n_fake": 0, "extractor": "", "seed": seed, "note": note}
    return Figure(metric=metric, value=value, low=low, high=high, better=better, **protocol)
