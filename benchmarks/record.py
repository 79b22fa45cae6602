"""Keeps what a run was measured at: the evaluation, the recipe's claim, the time and the machine.

    python -m benchmarks.record NAME RUN [RUN ...]

With several runs (seeds of one recipe) each stands beside the others, and the means are added. Run it after
`noiseforge evaluate RUN`, on the kind of machine that trained.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from benchmarks.measure import machine, save
from noiseforge.evaluation.figures import Evaluation
from noiseforge.training.run import Run

KEPT = ("value", "low", "high", "floor", "n_real", "n_fake", "extractor")


def outcome(path: Path) -> dict[str, object]:
    """One run's figures, with what they depend on."""
    run = Run.open(path)
    evaluation = Evaluation.model_validate_json((path / "report" / "evaluation.json").read_bytes())
    environment = json.loads((path / "environment.json").read_text())
    trained = [record for record in run.records() if record["event"] == "train"]
    return {
        "seed": run.recipe.seed,
        "training_seconds": trained[-1]["seconds"],
        "images": trained[-1]["images"],
        "threads": environment["threads"],
        "samples": evaluation.figures[0].n_fake,
        "judge_accuracy": evaluation.judge_accuracy,
        "figures": {figure.metric: {name: getattr(figure, name) for name in KEPT} for figure in evaluation.figures},
    }


def main() -> None:
    """Writes benchmarks/results/NAME.json and prints the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("runs", nargs="+", type=Path)
    chosen = parser.parse_args()
    runs = [outcome(path) for path in chosen.runs]
    metrics = runs[0]["figures"]
    assert isinstance(metrics, dict)
    means = {name: statistics.fmean(run["figures"][name]["value"] for run in runs) for name in metrics}  # type: ignore[index]
    recipe = f"noiseforge train {chosen.name}"
    here = {name: fact for name, fact in machine().items() if name != "threads"}  # each run has its own
    save(chosen.name.replace("/", "-"), recipe, {"machine": here, "runs": runs, "means": means})
    print(chosen.name, {name: round(value, 4) for name, value in means.items()})


if __name__ == "__main__":
    main()
