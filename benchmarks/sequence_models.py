"""What generated series score, model by model, by judges that are too slow for every evaluation.

    OMP_NUM_THREADS=1 python -m benchmarks.sequence_models NAME RUN... [--strong 2] [--seeds 5] [--draws 3] [--brief]

Each run draws as many series as it was trained on, with its model of noise and without; where asked for, several times,
each judged by all judges of the discriminative score: one draw may be lucky. Official scores are those of Yoon et al.
(2019) against all training windows; strong judges have two layers of 32 and of 64 units, trained by the
official 2,000 steps on a plain split of windows. Where the run held series out, distances to the nearest training
series are compared: the ratio is the median of samples over the median of held-out series, on whitened values and on
plain ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import save
from noiseforge.data import load_data
from noiseforge.data.spec import Data
from noiseforge.data.split import seeded
from noiseforge.evaluation.sequence_baseline import gaussian_series
from noiseforge.evaluation.sequence_judge import official_judge
from noiseforge.evaluation.sequence_neighbours import Closeness
from noiseforge.evaluation.sequence_official import Told, discriminative_score, predictive_score, told_apart
from noiseforge.evaluation.sequence_runs import Pair, random_split
from noiseforge.evaluation.sequence_view import Filled, everything, filled
from noiseforge.training.run import Run

UNITS = (32, 64)


def measured(path: Path, *, seeds: int, strong: int, draws: int, brief: bool) -> dict[str, Any]:
    """All figures of one run; `brief` leaves out all but what judges tell of its samples."""
    run = Run.open(path)
    data = load_data(**run.recipe.data.model_dump())
    model: Any = run.load_model("cpu")
    real = _filled(everything(data.train))
    drawn: dict[str, list[Filled]] = {}
    for name, denoised in (("denoised", True), ("with noise", False)):
        rngs = [torch.Generator().manual_seed(draw) for draw in range(draws)]
        drawn[name] = [_filled(model.series(len(real.x), generator=rng, denoised=denoised)) for rng in rngs]
    if not brief:
        drawn["gaussian"] = [gaussian_series(real, len(real.x), spec=data.spec, generator=seeded(0, "gaussian"))]
    made = {name: fakes[0] for name, fakes in drawn.items()}
    result: dict[str, Any] = {"seed": run.recipe.seed, "series": len(real.x), "steps": real.x.shape[1]}
    trained = [record for record in run.records() if record["event"] == "train"]
    result |= {"training_seconds": trained[-1]["seconds"], "images": trained[-1]["images"]}
    for name, fakes in drawn.items():
        told = [discriminative_score(real, fake, seeds=range(seeds)) for fake in fakes]
        result[name] = {"discriminative_score": _scores(Told(*map(torch.cat, zip(*told, strict=True))))}
        if not brief:
            result[name]["predictive_score"] = _summary(predictive_score(real, fakes[0], seeds=range(2)))
    if not brief:
        result["real against itself"] = {
            "discriminative_score": _scores(discriminative_score(real, real, seeds=range(seeds))),
            "predictive_score": _summary(predictive_score(real, real, seeds=range(2))),
        }
    if strong:
        pairs = [Pair(real, made["with noise"]), Pair(real, made["denoised"])]
        for units in UNITS:
            both = told_apart(pairs, seeds=range(strong), judge=official_judge(units), split=random_split)
            for name, told in zip(("with noise", "denoised"), both, strict=True):
                result[name][f"strong judge 2 x {units}"] = _scores(told)
    if not brief and run.recipe.data.split != "all":
        held = _filled(everything(data.test))
        for name in ("denoised", "with noise"):
            result[name] |= _nearness(made[name], held, data)
            result[name]["discriminative_score, held-out series"] = _scores(
                discriminative_score(held, made[name], seeds=range(seeds))
            )
    return result


def _nearness(fake: Filled, held: Filled, data: Data) -> dict[str, float]:
    """Medians of the distance to the nearest training series, samples over held-out series."""
    close = Closeness(data.train)
    train = _filled(everything(data.train)).x.flatten(1)
    plain = [torch.cdist(series.x.flatten(1), train).amin(1).median() for series in (fake, held)]
    whitened = [close.nearest(series).distance.median() for series in (fake, held)]
    return {
        "nearest training series, over held-out": float(whitened[0] / whitened[1]),
        "the same on plain values": float(plain[0] / plain[1]),
    }


def _filled(samples: Any) -> Filled:
    return filled(samples.x, samples.length)


def _scores(told: Told) -> dict[str, Any]:
    return {**_summary(told.score), "auc": float(told.auc.mean())}


def _summary(values: Tensor) -> dict[str, Any]:
    return {
        "mean": float(values.mean()),
        "std": float(values.std()) if len(values) > 1 else None,
        "max": float(values.max()),
        "runs": len(values),
    }


def main() -> None:
    """Measures every run, prints, and writes benchmarks/results/NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--strong", type=int, default=0, help="seeds of the strong judges")
    parser.add_argument("--draws", type=int, default=1, help="sets of samples, each judged by all")
    parser.add_argument("--brief", action="store_true", help="only what judges tell of the samples")
    chosen = parser.parse_args()
    runs = []
    for path in chosen.runs:
        runs.append(measured(path, seeds=chosen.seeds, strong=chosen.strong, draws=chosen.draws, brief=chosen.brief))
        print(path.name, runs[-1], flush=True)
    command = f"python -m benchmarks.sequence_models {chosen.name} RUNS --strong {chosen.strong} --seeds {chosen.seeds}"
    command += f" --draws {chosen.draws}" + " --brief" * chosen.brief
    save(chosen.name, command, {"runs": runs})


if __name__ == "__main__":
    main()
