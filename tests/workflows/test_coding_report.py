"""An evaluation of a model with an encoder measures its codes and shows them; others are evaluated as ever."""

from math import isfinite
from pathlib import Path
from typing import Any

import pytest
import torch

import noiseforge
from noiseforge.data.source import load_data
from noiseforge.data.spec import Data
from noiseforge.evaluation.bootstrap import wilson
from noiseforge.evaluation.figures import Evaluation
from noiseforge.recipes.schema import Recipe
from noiseforge.training.loop import train
from noiseforge.training.run import Run
from noiseforge.workflows.coding_report import coding_figures, coding_pictures, encodes

MODELS: dict[str, dict[str, Any]] = {
    "vae": {"kind": "vae", "likelihood": {"kind": "bernoulli", "binarise": "dynamic"}, "conditional": True},
    "aae": {"kind": "aae", "likelihood": {"kind": "gaussian"}},
    "gan": {"kind": "gan", "loss": "nonsaturating"},
}
LIKELIHOOD = ["nll", "elbo", "reconstruction", "kl", "active_units"]
CODES = ["reconstruction_error", "linear_probe", "knn_probe"]
SECTIONS = ("Reconstructions", "Map of the codes", "Walks through the latent space")


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits")


@pytest.fixture(scope="module")
def runs(digits: Data, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    return {name: trained(model, digits, tmp_path_factory.mktemp(name)) for name, model in MODELS.items()}


def trained(model: dict[str, Any], data: Data, out: Path) -> Run:
    recipe = Recipe.model_validate(
        {
            "data": {"source": data.spec.source},
            "model": {"network": "mlp", "latent": 4, **model},
            "train": {"images": 32, "batch": 16},
            "evaluate": {"samples": 50, "features": "pixels", "likelihood_samples": 7},
        }
    )
    return train(recipe, data, out)


def evaluated(run: Run, **options: Any) -> tuple[Evaluation, str]:
    """The evaluation, and the page that it wrote."""
    evaluation = noiseforge.evaluate(run, **options)
    return evaluation, (run.path / "report" / "index.html").read_text(encoding="utf-8")


def test_an_encoder_with_a_likelihood_is_measured_and_shown(runs: dict[str, Run], digits: Data) -> None:
    told: list[str] = []
    evaluation, page = evaluated(runs["vae"], progress=lambda stage, share: told.append(stage))
    names = [figure.metric for figure in evaluation.figures]
    assert names[-8:] == LIKELIHOOD + CODES and names[0] == "fid"
    for figure in evaluation.figures[-8:]:
        assert figure.low is not None and figure.high is not None
        assert isfinite(figure.value) and figure.low <= figure.value <= figure.high
        assert (figure.n_real, figure.n_fake, figure.seed) == (len(digits.test), 0, 0)
        assert figure.note and figure.floor is None
    nll, probe = evaluation.figure("nll"), evaluation.figure("linear_probe")
    assert nll and "7 importance samples" in nll.note and "binarised data" in nll.note
    assert probe and f"codes of {len(digits.train)} training examples" in probe.note and "told the labels" in probe.note
    assert all(f"<h2>{title}</h2>" in page for title in SECTIONS)
    assert page.count('alt="reconstruction"') == 24 and page.count("walk along dimension") == 4
    assert 'alt="PCA of the codes"' in page and 'alt="t-SNE of the codes"' in page
    assert f"{len(digits.test)} <i>real</i>" in page
    assert {"likelihood", "reconstruction", "probing the codes", "drawing the codes"} <= set(told)


def test_an_encoder_without_a_likelihood_is_probed_alone(runs: dict[str, Run]) -> None:
    evaluation, page = evaluated(runs["aae"])
    assert [figure.metric for figure in evaluation.figures][-3:] == CODES
    assert evaluation.figure("nll") is None and all(f"<h2>{title}</h2>" in page for title in SECTIONS)


@pytest.mark.parametrize(("name", "options"), [("gan", {}), ("vae", {"metrics": ("copies",)})])
def test_nothing_is_added_without_an_encoder_or_where_metrics_are_named(
    runs: dict[str, Run], name: str, options: dict[str, Any]
) -> None:
    evaluation, page = evaluated(runs[name], **options)
    assert not {*LIKELIHOOD, *CODES} & {figure.metric for figure in evaluation.figures}
    assert not any(f"<h2>{title}</h2>" in page for title in SECTIONS)


def test_the_error_is_that_of_the_reconstructions_and_a_seed_repeats_all(runs: dict[str, Run], digits: Data) -> None:
    model: Any = runs["aae"].load_model("cpu")
    error, *probes = coding_figures(model, digits, seed=3, samples=1)
    whole = digits.test.batch(torch.arange(len(digits.test))).x
    assert error.value == pytest.approx(float((model.reconstruct(whole) - whole).square().mean()), rel=1e-5)
    assert (error, *probes) == coding_figures(model, digits, seed=3, samples=1)


def test_data_without_labels(runs: dict[str, Run], digits: Data) -> None:
    class Bare:
        spec = digits.spec.model_copy(update={"classes": ()})
        labels = None

        def __len__(self) -> int:
            return 40

        def batch(self, indices: torch.Tensor) -> Any:
            return digits.test.batch(indices)._replace(y=None)

    bare: Any = Bare()
    data = Data(bare, bare, bare.spec)
    conditional, free = (runs[name].load_model("cpu") for name in ("vae", "aae"))
    assert encodes(conditional, digits) and not encodes(conditional, data) and encodes(free, data)
    assert [figure.metric for figure in coding_figures(free, data, seed=0, samples=1)] == ["reconstruction_error"]
    pictures = coding_pictures(free, data, seed=0)
    assert pictures.maps is not None and pictures.maps.n == 40 and pictures.walks.n == 40
    assert pictures.walks.x.shape == (4, 11, 1, 8, 8)


def test_points_are_shown_as_points(tmp_path: Path) -> None:
    ring = load_data("ring")
    small = Data(ring.train.subset(torch.arange(60)), ring.test.subset(torch.arange(50)), ring.spec)
    run = trained({"kind": "vae", "likelihood": {"kind": "gaussian"}}, small, tmp_path / "run")
    evaluation, page = evaluated(run, data=small)
    assert evaluation.figure("nll") and evaluation.figure("reconstruction_error")
    assert "50 test examples in grey" in page and SECTIONS[1] in page and SECTIONS[2] not in page


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_interval_of_a_share_solves_its_equation(share: float) -> None:
    """Wilson 1927: its ends are the shares from which the one that was seen is 1.96 standard errors away."""
    for end in wilson(share, 50):
        assert abs(end - share) == pytest.approx(1.96 * (end * (1 - end) / 50) ** 0.5, abs=1e-9)
    low, high = wilson(share, 50)
    assert low <= share <= high and low < high
