"""The discriminative and the predictive score of sequences, as the released code of TimeGAN defines them.

Yoon, Jarrett and van der Schaar 2019, "Time-series generative adversarial networks"; papers since then report both.
What its code leaves to chance (the seed) is an argument here, what fails there (ragged fakes, a single feature) works,
and nothing else differs: sizes, steps, splits, units and their initial values are those of the released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from noiseforge.data.split import seeded
from noiseforge.errors import UserError
from noiseforge.evaluation.sequence_recurrent import Recurrent
from noiseforge.evaluation.sequence_runs import (
    Judge,
    Pair,
    Progress,
    Run,
    Split,
    Store,
    check_pairs,
    random_split,
    some,
    train,
)
from noiseforge.evaluation.sequence_view import Filled

CHUNK = 2_048
"""Series of each run that are predicted at once."""
FEWEST = 5
"""Series of a kind below which a fifth of them is none."""


class Told(NamedTuple):
    """How well judges told real series from fakes, one value for each run."""

    accuracy: Tensor
    """(runs,) on the series that they were not trained on."""
    auc: Tensor
    """(runs,) share of pairs of a real series and a fake in which the real one looks more real."""

    @property
    def score(self) -> Tensor:
        """(runs,) the discriminative score |accuracy - 0.5|: 0 where they cannot be told apart, 0.5 at worst."""
        return (self.accuracy - 0.5).abs()


DISCRIMINATIVE = Judge()
PREDICTIVE = Judge(iterations=5_000)


def discriminative_score(
    real: Filled,
    fake: Filled,
    *,
    seeds: Sequence[int] = range(5),
    judge: Judge = DISCRIMINATIVE,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> Told:
    """How well a small recurrent network, trained for it, tells real series from generated ones.

    A layer of int(D / 2) gated recurrent units, of which the last state is seen; two cross-entropies; 2,000 steps of
    Adam at 0.001 with 128 real and 128 generated series; a random fifth of either is kept for the test.

    Args:
        real: with D features, in [0, 1].
        fake: in the same units.
        seeds: one for each run, all of which are trained at once.
        judge: another size or another training than the official one.
        device: where it runs.
        progress: called with the share that is done.

    Raises:
        UserError: fewer than 5 series of a kind, or features that differ.
    """
    return told_apart([Pair(real, fake)], seeds=seeds, judge=judge, device=device, progress=progress)[0]


def predictive_score(
    real: Filled,
    fake: Filled,
    *,
    seeds: Sequence[int] = range(5),
    target: int = -1,
    judge: Judge = PREDICTIVE,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> Tensor:
    """Mean absolute error on real series of a small recurrent network that has learned from generated ones alone.

    From all features but the last up to a step it predicts the last one at the next step, by a layer of int(D / 2)
    gated recurrent units and a sigmoid; 5,000 steps of Adam at 0.001 with 128 series. Of a single feature, which the
    released code cannot score, the next value is predicted from those before.

    Args:
        real: in [0, 1]; it is tested on all of them.
        fake: it learns from these.
        seeds: one for each run.
        target: the feature that is predicted.
        judge: another size or another training than the official one.
        device: where it runs.
        progress: called with the share that is done.

    Returns:
        (runs,) float64.

    Raises:
        UserError: features that differ, or series of a single step.
    """
    pairs = [Pair(real, fake)]
    return predicted(pairs, seeds=seeds, targets=(target,), judge=judge, device=device, progress=progress)[0, 0]


def told_apart(
    pairs: Sequence[Pair],
    *,
    seeds: Sequence[int] = range(5),
    judge: Judge = DISCRIMINATIVE,
    split: Split = random_split,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> list[Told]:
    """`discriminative_score` of several pairs, the judges of all of them trained at once.

    Args:
        pairs: with the same features.
        seeds: one for each run of a pair.
        judge: its size and training.
        split: of the series into those that the judge is trained on and those that it is tested on.
        device: where it runs.
        progress: called with the share that is done.
    """
    check_pairs(pairs, FEWEST)
    store = Store([part for pair in pairs for part in pair], device)
    runs = [Run(place, seeded(seed, "discriminative score")) for place in range(len(pairs)) for seed in seeds]
    network = _network(store.features, store, judge, runs)
    parts = [[store.split(2 * run.pair + kind, split, run.chance) for kind in (0, 1)] for run in runs]
    each = min(judge.batch, *(len(rows) for part in parts for rows, _ in part))

    def loss() -> Tensor:
        rows = [
            torch.cat([some(rows, each, run.chance) for rows, _ in part]) for run, part in zip(runs, parts, strict=True)
        ]
        x, length = store(torch.stack(rows))
        logits = network.outputs(network(x, length)[-1])
        return (softplus(-logits[:, :each]).mean(1) + softplus(logits[:, each:]).mean(1)).sum()

    train(network, loss, judge, progress)
    told = [
        _told(*(_final_logits(network, store, test, place) for _, test in part)) for place, part in enumerate(parts)
    ]
    values = torch.tensor(told, dtype=torch.float64).reshape(len(pairs), len(seeds), 2)
    return [Told(accuracy, auc) for accuracy, auc in values.movedim(2, 1)]


def predicted(
    pairs: Sequence[Pair],
    *,
    seeds: Sequence[int] = range(5),
    targets: Sequence[int] = (-1,),
    judge: Judge = PREDICTIVE,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> Tensor:
    """`predictive_score` of several pairs and several features, the judges of all of them trained at once.

    Returns:
        (pairs, targets, runs) float64.
    """
    check_pairs(pairs, 1)
    if max(pair.fake.x.shape[1] for pair in pairs) < 2:
        raise UserError("the predictive score needs series of two steps at least; leave it out")
    store = Store([part for pair in pairs for part in pair], device)
    runs = [
        Run(place, seeded(seed, "predictive score"), target % store.features)
        for place in range(len(pairs))
        for target in targets
        for seed in seeds
    ]
    network = _network(max(store.features - 1, 1), store, judge, runs)
    every = [store.all(2 * run.pair + 1) for run in runs]
    each = min(judge.batch, *(len(rows) for rows in every))

    def loss() -> Tensor:
        rows = [some(rows, each, run.chance) for run, rows in zip(runs, every, strict=True)]
        error, known = _errors(network, *store(torch.stack(rows)), [run.target for run in runs])
        return (error.sum((0, 2)) / known.sum((0, 2)).clamp(min=1)).sum()

    train(network, loss, judge, progress)
    scores = [_tested(network, store, run, place) for place, run in enumerate(runs)]
    return torch.tensor(scores, dtype=torch.float64).reshape(len(pairs), len(targets), len(seeds))


# -- the parts -------------------------------------------------------------------------------------


def _network(inputs: int, store: Store, judge: Judge, runs: Sequence[Run]) -> Recurrent:
    chances = [run.chance for run in runs]
    return Recurrent(inputs, judge.units(store.features), judge.layers, chances).to(store.x.device)


@torch.no_grad()
def _final_logits(network: Recurrent, store: Store, rows: Tensor, run: int) -> Tensor:
    """(n,) of the series in `rows` (n,)."""
    alone = slice(run, run + 1)
    parts = [store(part[None]) for part in rows.split(CHUNK)]
    return torch.cat([network.outputs(network(x, length, alone)[-1], alone)[0] for x, length in parts]).cpu()


def _told(real: Tensor, fake: Tensor) -> tuple[float, float]:
    """Accuracy and area under the curve, from logits of real series (n,) and of fakes (m,)."""
    right = int((real > 0).sum()) + int((fake <= 0).sum())
    ordered = fake.sort().values
    below, not_above = (torch.searchsorted(ordered, real, right=right).double() for right in (False, True))
    return right / (len(real) + len(fake)), float((below + not_above).mean() / (2 * len(fake)))


def _errors(
    network: Recurrent, x: Tensor, length: Tensor, targets: Sequence[int], runs: slice = slice(None)
) -> tuple[Tensor, Tensor]:
    """Absolute errors (T-1, R, B) of a feature that is predicted a step ahead, 0 where `known` says there is none."""
    features = x.shape[2]
    order = torch.tensor([[*range(target), *range(target + 1, features), target] for target in targets])
    x = x.gather(2, order.to(x.device)[:, :, None].expand(x.shape))
    seen, wanted = x[:-1, :, : max(features - 1, 1)], x[1:, :, -1]
    known = torch.arange(len(wanted), device=x.device)[:, None, None] < length - 1
    found = network.outputs(network(seen, length - 1, runs), runs).sigmoid()
    return (found - wanted).abs() * known, known


@torch.no_grad()
def _tested(network: Recurrent, store: Store, run: Run, place: int) -> float:
    """Mean over all real series of the mean absolute error of each; those of a single step have none."""
    total, count = 0.0, 0
    for part in store.all(2 * run.pair).split(CHUNK):
        error, known = _errors(network, *store(part[None]), [run.target], slice(place, place + 1))
        steps = known.sum((0, 1))
        total += float((error.sum((0, 1)).cpu().double() / steps.cpu().clamp(min=1)).sum())
        count += int((steps > 0).sum())
    return total / max(count, 1)
