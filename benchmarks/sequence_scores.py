"""The official scores of sequences: what they come to on real series, and how long they take, against a plain loop.

    OMP_NUM_THREADS=1 python -m benchmarks.sequence_scores ../shared/data/stock/stock_data.csv [--seeds 5]

The plain loop trains one judge after the other by `torch.nn.GRU` and automatic differentiation. It runs a share of the
steps, and its time is that of all of them by proportion. Both take turns with one seed each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from benchmarks.measure import interleave, save
from noiseforge.data import load_data
from noiseforge.data.split import seeded
from noiseforge.evaluation.sequence_baseline import gaussian_series
from noiseforge.evaluation.sequence_official import DISCRIMINATIVE, PREDICTIVE, predicted, told_apart
from noiseforge.evaluation.sequence_runs import Pair
from noiseforge.evaluation.sequence_view import Filled, everything, filled

SHARE = 50
"""The loops are timed over this part of the steps."""
ROUNDS = 3


def bare_discriminative(real: Tensor, fake: Tensor, seeds: range, steps: int) -> None:
    """One judge after another, as one would write it."""
    for seed in seeds:
        chance = torch.Generator().manual_seed(seed)
        hidden = DISCRIMINATIVE.units(real.shape[2])
        network, head = nn.GRU(real.shape[2], hidden, batch_first=True), nn.Linear(hidden, 1)
        optimiser = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=DISCRIMINATIVE.rate)
        for _ in range(steps):
            logits = []
            for series in (real, fake):
                rows = torch.randperm(len(series), generator=chance)[: DISCRIMINATIVE.batch]
                logits.append(head(network(series[rows])[1][0]))
            optimiser.zero_grad()
            (softplus(-logits[0]).mean() + softplus(logits[1]).mean()).backward()
            optimiser.step()


def bare_predictive(fake: Tensor, seeds: range, steps: int) -> None:
    """The same of predictors."""
    for seed in seeds:
        chance = torch.Generator().manual_seed(seed)
        hidden = PREDICTIVE.units(fake.shape[2])
        network, head = nn.GRU(fake.shape[2] - 1, hidden, batch_first=True), nn.Linear(hidden, 1)
        optimiser = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=PREDICTIVE.rate)
        for _ in range(steps):
            some = fake[torch.randperm(len(fake), generator=chance)[: PREDICTIVE.batch]]
            found = head(network(some[:, :-1, :-1])[0]).sigmoid().squeeze(2)
            optimiser.zero_grad()
            (found - some[:, 1:, -1]).abs().mean().backward()
            optimiser.step()


def timed(real: Filled, fake: Filled, seeds: range) -> dict[str, dict[str, float]]:
    """Seconds of all steps of all seeds: together, and one after another."""
    pair, told, foretold = Pair(real, fake), DISCRIMINATIVE.iterations // SHARE, PREDICTIVE.iterations // SHARE
    judge, predictor = DISCRIMINATIVE._replace(iterations=told), PREDICTIVE._replace(iterations=foretold)
    arms: dict[str, Callable[[], object]] = {
        "discriminative": lambda: told_apart([pair], seeds=seeds, judge=judge),
        "discriminative, plain loop": lambda: bare_discriminative(real.x, fake.x, seeds, told),
        "predictive": lambda: predicted([pair], seeds=seeds, judge=predictor),
        "predictive, plain loop": lambda: bare_predictive(fake.x, seeds, foretold),
    }
    seconds = interleave(arms, rounds=ROUNDS, warm_up=1)
    best = {name: SHARE * min(times) for name, times in seconds.items()}
    return {
        score: {
            "seconds": best[score],
            "plain_loop_seconds": best[f"{score}, plain loop"],
            "times_as_fast": best[f"{score}, plain loop"] / best[score],
        }
        for score in ("discriminative", "predictive")
    }


def scores(real: Filled, gaussian: Filled, seeds: range) -> dict[str, dict[str, object]]:
    """The official scores of the series themselves, and of the Gaussian."""
    pairs = {"itself": Pair(real, real), "pca_gaussian": Pair(real, gaussian)}
    told = told_apart(list(pairs.values()), seeds=seeds)
    foretold = predicted(list(pairs.values()), seeds=seeds)[:, 0]
    return {
        name: {"discriminative": _spread(one.score), "auc": _spread(one.auc), "predictive": _spread(error)}
        for name, one, error in zip(pairs, told, foretold, strict=True)
    }


def _spread(values: Tensor) -> dict[str, object]:
    found = {"mean": values.mean(), "std": values.std(), "max": values.max()}
    return {name: round(float(value), 5) for name, value in found.items()} | {"by_seed": values.tolist()}


def main() -> None:
    """Writes benchmarks/results/sequence-scores.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--window", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=5)
    chosen = parser.parse_args()
    seeds = range(chosen.seeds)
    data = load_data(str(chosen.source), window=chosen.window, split="all")
    windows = everything(data.train)
    # The released code leaves the last window out.
    real = filled(windows.x[:-1])
    gaussian = gaussian_series(real, len(real.x), spec=data.spec, generator=seeded(0, "gaussian"))
    began = time.perf_counter()
    outcome: dict[str, object] = {"series": len(real.x), "seeds": chosen.seeds, "times": timed(real, gaussian, seeds)}
    outcome |= {"scores": scores(real, gaussian, seeds), "wall_seconds": round(time.perf_counter() - began, 1)}
    command = f"python -m benchmarks.sequence_scores {chosen.source.name} --seeds {chosen.seeds}"
    save("sequence-scores", command, outcome)
    print(outcome)


if __name__ == "__main__":
    main()
