"""Every model on a device that is not the processor, in a process of its own: see `tests/elsewhere.py`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import elsewhere
from tests.models import test_contract, test_sequence_contract, test_series

from noiseforge.data.source import load_data
from noiseforge.data.spec import Data
from noiseforge.evaluation.sequence_official import DISCRIMINATIVE, PREDICTIVE, predicted, told_apart
from noiseforge.evaluation.sequence_runs import Pair
from noiseforge.evaluation.sequence_view import filled
from noiseforge.recipes.schema import Recipe
from noiseforge.training.loop import train

ROOT = Path(__file__).parents[2]
JUDGES = "judges of series"


@pytest.mark.slow
@pytest.mark.skipif(not elsewhere.PORTABLE, reason="this torch lets no device be written in Python")
def test_every_model_trains_and_samples_on_another_device(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.training.test_devices", str(tmp_path)]
    made = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    assert made.stdout.splitlines() == [*(name for name, _, _ in trainings()), JUDGES]


def trainings() -> Iterator[tuple[str, Recipe, Data]]:
    """A name, a recipe and its data for each model."""
    digits, tones = load_data("digits"), load_data("tones", sample_rate=1000, labels_per_class=8)
    for name, model in test_contract.MODELS.items():
        yield name, test_contract.recipe(model), tones if test_contract.is_of_sound(name) else digits
    rows, waves = load_data("digit-rows"), test_series.Series()
    for name in test_sequence_contract.MODELS:
        yield name, test_sequence_contract.recipe(name), rows
        yield f"{name}, gaps", test_sequence_contract.recipe(name), Data(waves, waves, waves.spec)


def same_on_both_devices(run: Any, data: Data) -> None:
    """What a model makes on the device is what it makes on the processor."""
    away, home = run.load_model("auto"), run.load_model("cpu")
    assert {part.device.type for part in away.state_dict().values()} == {elsewhere.NAME}
    batch = data.test.batch(torch.arange(6))
    made = []
    for model in (away, home):
        if hasattr(model, "predict_proba"):
            made.append([model.predict_proba(batch.x, batch.length)])
        else:
            made.append([model.sample(6, generator=torch.Generator().manual_seed(1))])
    torch.testing.assert_close(*made, rtol=1e-3, atol=1e-4, equal_nan=True)


def judges_agree() -> None:
    """Judges of series learn and say the same on the device as on the processor."""
    draws = torch.Generator().manual_seed(0)
    real, fake = (filled(torch.rand(40, 6, 3, generator=draws), torch.arange(40) % 5 + 2) for _ in range(2))
    found = []
    for device in (elsewhere.NAME, "cpu"):
        judges = [judge._replace(iterations=3, batch=8) for judge in (DISCRIMINATIVE, PREDICTIVE)]
        told = told_apart([Pair(real, fake)], seeds=(0, 1), judge=judges[0], device=device)[0]
        found.append((told.auc, predicted([Pair(real, fake)], seeds=(0,), judge=judges[1], device=device)))
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)


def main(folder: Path) -> None:
    """Trains every model and judge on the device, and says its name."""
    elsewhere.install()
    with pytest.raises(RuntimeError, match="meet"):
        torch.ones(2).to(elsewhere.NAME) + torch.ones(2)
    for name, recipe, data in trainings():
        same_on_both_devices(train(recipe, data, folder / name), data)
        print(name)
    judges_agree()
    print(JUDGES)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
