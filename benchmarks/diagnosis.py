"""Does the diagnosis see what it should, and is it quiet where it should be? Trainings on the embedded digits.

    python -m benchmarks.diagnosis

Three healthy recipes and four spoiled on purpose, each trained, evaluated and diagnosed as a user would, twice.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure import save
from noiseforge import api
from noiseforge.errors import UserError
from noiseforge.training.run import Run

HINGE = ["model.loss=hinge", "model.r1=0", "model.r2=0", "model.generator={width: 32, norm: batch}"]
PLAIN = ["model.conditional=false", "model.r1=0", "model.r2=0"]

CASES: dict[str, tuple[str, list[str]]] = {
    "as the recipe is": ("healthy", []),
    "unconditional": ("healthy", ["model.conditional=false"]),
    "hinge with spectral norm": ("healthy", [*HINGE, "model.discriminator={width: 32, norm: spectral, lr: 4e-4}"]),
    "a generator that runs ahead": (
        "mode collapse",
        [*PLAIN, "model.loss=nonsaturating", "model.generator.turns=8", "model.discriminator={width: 8, lr: 1e-5}"],
    ),
    "minimax against a fast discriminator": (
        "discriminator won",
        [*PLAIN, "model.loss=minimax", "model.generator.lr=1e-6", "model.discriminator.lr=0.002"],
    ),
    "a critic without a bound": (
        "diverged",
        [*PLAIN, "model.loss=wasserstein", "model.r1=1e-9", "model.generator.lr=0.05", "model.discriminator.lr=0.05"],
    ),
    "two examples of each class": ("memorising", ["data.labels_per_class=2"]),
}


def verdict(name: str, overrides: list[str], seed: int, folder: Path) -> tuple[str, str]:
    """Trains, evaluates and diagnoses; a training that stops with an error is diagnosed as it lies."""
    out = folder / f"{name.replace(' ', '-')}-{seed}"
    try:
        run = api.train("image/digits", out=out, overrides=["train.images=60000", *overrides], seed=seed)
        api.evaluate(run, seed=seed)
    except UserError:
        run = Run.open(out)
    diagnosis = api.diagnose(run)
    return diagnosis.verdict, diagnosis.summary


def main() -> None:
    """Prints and keeps a line for each case and seed."""
    outcome: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (expected, overrides) in CASES.items():
            for seed in (0, 1):
                found, summary = verdict(name, overrides, seed, Path(folder))
                outcome[f"{name}, seed {seed}"] = {"expected": expected, "verdict": found, "summary": summary}
                print(f"{'ok ' if found == expected else 'NO '} {name}, seed {seed}: {found} (expected {expected})")
    save("diagnosis", "python -m benchmarks.diagnosis", outcome)


if __name__ == "__main__":
    main()
