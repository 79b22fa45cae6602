"""The contract of every model on sequences: train, come back, resume bit for bit, stop at a NaN with all kept."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from noiseforge.data.source import load_data
from noiseforge.data.spec import Data
from noiseforge.errors import Diverged
from noiseforge.recipes.schema import Recipe
from noiseforge.training.loop import Interrupted, train
from noiseforge.training.progress import Progress
from noiseforge.training.run import Run

SMALL = {"hidden": [8]}
GAME = {"generator": SMALL, "discriminator": SMALL, "latent": 4}
AUTOENCODER = {"code": 4, "hidden": 6, "images": 32}
MODELS: dict[str, dict[str, Any]] = {
    "latent": {"kind": "latent_rgan", **GAME, "autoencoder": AUTOENCODER, "residual_images": 32},
    "latent, one scale": {"kind": "latent_rgan", **GAME, "autoencoder": AUTOENCODER, "normalise": False},
    "latent conditional": {"kind": "latent_rgan", **GAME, "autoencoder": AUTOENCODER, "conditional": True},
    "direct": {"kind": "rgan", **GAME},
    "direct conditional, packed": {"kind": "rgan", **GAME, "conditional": True},
    "vae": {"kind": "rvae", "latent": 4, "hidden": 6},
    "classifier": {"kind": "classifier", "hidden": 6, "layers": 1},
    "classifier, noisy, in pieces": {
        "kind": "classifier",
        "hidden": 6,
        "layers": 2,
        "dropout": 0.2,
        "corrupt": ["", "snr:5 | drop:0.1"],
        "truncate": 4,
    },
}
GENERATORS = [name for name in MODELS if "classifier" not in name]


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data("digit-rows")


def recipe(name: str, **training: Any) -> Recipe:
    plan = {"images": 96, "batch": 16, "average_halflife": 20, "sample_every": 96, **training}
    return Recipe.model_validate({"data": {"source": "digit-rows"}, "model": MODELS[name], "train": plan})


def weights(run: Run) -> dict[str, torch.Tensor]:
    return run.load_model().state_dict()


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_plays_samples_and_comes_back(name: str, data: Data, tmp_path: Path) -> None:
    run = train(recipe(name), data, tmp_path / "run")
    model: Any = run.load_model()
    made = model.series(6, generator=torch.Generator().manual_seed(1))
    assert made.x.shape == (6, *data.spec.shape) and made.x.std(0).mean() > 0
    assert torch.isfinite(made.x).all()
    assert (made.y is not None) == ("conditional" in name)
    again: Any = Run.open(run.path).load_model()
    assert torch.equal(made.x, again.series(6, generator=torch.Generator().manual_seed(1)).x)
    assert torch.equal(made.x, model.sample(6, generator=torch.Generator().manual_seed(1)))
    assert not torch.equal(made.x, model.series(6, generator=torch.Generator().manual_seed(2)).x)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in GENERATORS])
def test_a_classifier_plays_and_comes_back(name: str, data: Data, tmp_path: Path) -> None:
    run = train(recipe(name), data, tmp_path / "run")
    batch = data.test.batch(torch.arange(20))
    probability = run.load_model().predict_proba(batch.x, batch.length)  # type: ignore[operator]
    torch.testing.assert_close(probability.sum(1), torch.ones(20))
    assert torch.equal(probability, Run.open(run.path).load_model().predict_proba(batch.x))  # type: ignore[operator]


@pytest.mark.parametrize("name", MODELS)
def test_resume_equals_no_interruption_bit_for_bit(name: str, data: Data, tmp_path: Path) -> None:
    plan = recipe(name, save_every=16)

    def interrupt(progress: Progress) -> None:
        if progress.images == 48:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        train(plan, data, tmp_path / "parts", progress=interrupt)
    parts = weights(train(plan, data, tmp_path / "parts", resume=True))
    whole = weights(train(plan, data, tmp_path / "whole"))
    assert parts.keys() == whole.keys()
    assert all(torch.equal(part, whole[key]) for key, part in parts.items())


@pytest.mark.parametrize("name", ["vae", "classifier"])
def test_a_nan_is_named_and_the_last_good_checkpoint_stays(name: str, data: Data, tmp_path: Path) -> None:
    hot = {"lr": {"start": 0, "end": 1e38, "images": 96}}
    plan = Recipe.model_validate(
        {**recipe(name, images=320, save_every=16).model_dump(), "model": {**MODELS[name], "optimiser": hot}}
    )
    with pytest.raises(Diverged, match=r"(nan|inf|NaN or infinite).*the last good checkpoint is kept"):
        train(plan, data, tmp_path / "run")
    state = Run.open(tmp_path / "run").load_state()
    assert state["images"] > 0 and all(torch.isfinite(tensor).all() for tensor in state["model"].values())
