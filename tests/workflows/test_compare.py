"""Runs side by side: the same protocol for all, the best marked, and other data refused."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from noiseforge.data.source import load_data
from noiseforge.data.spec import Data
from noiseforge.errors import UserError
from noiseforge.evaluation import charts
from noiseforge.evaluation.figures import Evaluation, Figure
from noiseforge.evaluation.run_comparison import Contender, RunComparison
from noiseforge.models.gan import GAN
from noiseforge.recipes.schema import DataSettings, GANSettings, Recipe, TrainSettings
from noiseforge.training.loop import train
from noiseforge.training.run import Run
from noiseforge.workflows.compare import compare_runs
from noiseforge.workflows.measurements import peak_memory, training_seconds
from noiseforge.workflows.posterior import Mixture


def trained(data: Data, out: Path, seed: int = 0) -> Run:
    settings = GANSettings.model_validate({"network": "mlp", "loss": "nonsaturating", "latent": 4})
    source = DataSettings(source=data.spec.source)
    recipe = Recipe(data=source, model=settings, train=TrainSettings(images=32, batch=16), seed=seed)
    return train(recipe, data, out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def runs(folder: Path) -> list[Run]:
    digits = load_data("digits")
    return [trained(digits, folder / name, seed) for seed, name in enumerate(("one", "two <b>"))]


class Encoding(GAN):
    """A GAN that claims to encode: every code is 0, and what comes back is half of what was given."""

    def encode(self, x: Tensor, y: Tensor | None = None, length: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return torch.zeros(len(x), 4), torch.zeros(len(x), 4)

    def reconstruct(self, x: Tensor, y: Tensor | None = None, length: Tensor | None = None) -> Tensor:
        return x / 2


@pytest.fixture
def encoding(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """The second run, whose model encodes and which keeps a mixture."""
    load = Run.load_model

    def as_encoding(self: Run, device: str = "cpu") -> GAN:
        model = load(self, device)
        if self.path == runs[1].path:
            model.__class__ = Encoding
        return model

    monkeypatch.setattr(Run, "load_model", as_encoding)
    path = runs[1].path / "posterior.npz"
    mixture(4).save(path)
    yield runs[1]
    path.unlink()


def mixture(latent: int) -> Mixture:
    factors = 0.01 * torch.eye(latent).double()
    return Mixture(torch.ones(1, 1).double(), torch.zeros(1, 1, latent).double(), factors[None, None])


def test_a_run_that_encodes_stands_there_with_its_mixture(runs: list[Run], encoding: Run, tmp_path: Path) -> None:
    told: list[float] = []
    comparison = compare_runs(
        runs, n=60, seed=3, features="random", device="cpu", out=tmp_path, progress=lambda _, share: told.append(share)
    )
    assert [contender.name for contender in comparison.contenders] == ["one", "two <b>", "two <b>, mixture"]
    assert told == sorted(told) and told[-1] == 1.0
    one, two, mixed = comparison.contenders
    assert one.reconstruction is None and mixed.reconstruction is None
    assert two.reconstruction is not None
    x = load_data("digits").test
    whole = x.batch(torch.arange(len(x))).x.double()
    assert two.reconstruction.value == pytest.approx(float((whole / 2).square().mean()), rel=1e-5)
    assert two.reconstruction.low < two.reconstruction.value < two.reconstruction.high
    ids = {figure.extractor for c in comparison.contenders for figure in c.evaluation.figures if figure.extractor}
    assert comparison.features in ids and comparison.features.startswith("random-")
    assert {f.seed for c in comparison.contenders for f in c.evaluation.figures} == {3}
    assert one.training_seconds is not None and mixed.training_seconds is None
    assert one.peak_memory_bytes is not None and one.peak_memory_bytes > 1e8 and mixed.peak_memory_bytes is None
    assert one.parameters == sum(p.numel() for p in runs[0].load_model().parameters())
    assert all(contender.samples_per_second > 0 for contender in comparison.contenders)
    coverage = comparison.row("coverage")
    assert coverage is not None and coverage.cells[2].value <= coverage.cells[1].value

    stored = (tmp_path / "comparison.json").read_text(encoding="utf-8")
    assert RunComparison.model_validate_json(stored) == comparison
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "two &lt;b&gt;, mixture" in page and "two <b>" not in page
    assert page.count('alt="reconstruction"') == 16, "one run reconstructs"
    assert page.count("<img") == 4 * 56 + 2 * 16, "three grids and real examples, all equal, and the pairs"
    assert "60 samples each" in page and "seed 3" in page and comparison.features in page
    assert all(address.startswith("data:") for address in re.findall(r'src="([^"]*)"', page))
    assert not re.search(r"https?://|url\(|@import|\$\w", page)


def test_a_mixture_of_another_model_is_refused(runs: list[Run], encoding: Run) -> None:
    mixture(5).save(encoding.path / "posterior.npz")
    with pytest.raises(UserError, match=r"1 of 5 dimensions, expected 1 of 4"):
        compare_runs(runs, n=20, features="pixels", device="cpu")


def test_two_equal_runs_score_the_same_and_a_point_mixture_needs_no_features(folder: Path) -> None:
    ring = load_data("ring")
    pair = [trained(ring, folder / name) for name in ("ring-a", "ring-b")]
    comparison = compare_runs(pair, n=50, device="cpu", out=folder / "page")
    left, right = (contender.evaluation.figures for contender in comparison.contenders)
    assert left == right and {figure.metric for figure in left} == {"modes", "high_quality", "reverse_kl"}
    assert all(row.best == () for row in comparison.rows() if row.metric in ("modes", "high_quality", "parameters"))
    assert (folder / "page" / "index.html").read_text().count("<img") == 2


@pytest.mark.parametrize(
    ("n", "features", "said"), [(1, None, "n must be >= 2, got 1"), (9, "judgement", "did you mean 'judge'")]
)
def test_settings_that_cannot_be_are_refused(runs: list[Run], n: int, features: str | None, said: str) -> None:
    with pytest.raises(UserError, match=said):
        compare_runs(runs, n=n, features=features, device="cpu")


def test_other_data_and_too_few_runs_are_refused(runs: list[Run], tmp_path: Path) -> None:
    other = Run(tmp_path / "o", runs[0].recipe, runs[0].spec.model_copy(update={"fingerprint": "x", "source": "mine"}))
    with pytest.raises(UserError, match=r"one \(digits, .*/o \(mine, .*different data"):
        compare_runs([runs[0], other])
    with pytest.raises(UserError, match="at least 2 runs, got 1"):
        compare_runs(runs[:1])
    with pytest.raises(UserError, match="named twice"):
        compare_runs([runs[0], runs[1], runs[0]])
    changed = [Run(run.path, run.recipe, run.spec.model_copy(update={"fingerprint": "x"})) for run in runs]
    with pytest.raises(UserError, match="no longer the data"):
        compare_runs(changed, n=20)
    assert not list(tmp_path.iterdir())


# -- the table ---------------------------------------------------------------------------------------


def figure(metric: str, value: float, better: str = "lower", **more: Any) -> Figure:
    protocol = {"n_real": 9, "n_fake": 9, "extractor": "pixels", "seed": 0}
    return Figure(metric=metric, value=value, better=better, **{**protocol, **more})


def contender(name: str, figures: tuple[Figure, ...], **more: Any) -> Contender:
    evaluation = Evaluation(subject=name, source="digits", figures=figures, created="", seconds=1.0)
    return Contender(
        name=name, run=name, evaluation=evaluation, **{"parameters": 10, "samples_per_second": 5.0, **more}
    )


def test_the_table_marks_the_best_by_the_direction_of_each_metric() -> None:
    left = contender(
        "gan",
        (
            figure("fid", 3.0, floor=0.5),
            figure("coverage", 0.5, "higher"),
            figure("nearest_ratio", 0.4, "floor", floor=1.0),
        ),
        training_seconds=75.0,
        peak_memory_bytes=1_500_000_000,
        likelihood=(figure("kl", 0.0, extractor=""),),
        likelihood_of="of binarised data",
    )
    right = contender(
        "vae",
        (
            figure("fid", 2.0, floor=0.5),
            figure("coverage", 0.7, "higher"),
            figure("nearest_ratio", 2.2, "floor", floor=1.0),
        ),
        likelihood=(figure("nll", 90.0, extractor=""), figure("kl", 20.0, extractor="")),
        likelihood_of="of binarised data",
        samples_per_second=50.0,
    )
    third = contender("density", (), likelihood=(figure("nll", -500.0, extractor=""),), likelihood_of="a density")
    parts = {
        "source": "digits",
        "fingerprint": "",
        "n": 9,
        "seed": 0,
        "features": "pixels",
        "machine": "",
        "created": "",
    }
    comparison = RunComparison(**parts, contenders=(left, right, third), seconds=1.0)
    columns, lines = comparison.table()
    assert columns == ("measure", "better", "gan", "vae", "density", "floor")
    cells = {line[0]: line[2:] for line in lines}
    assert cells["Fréchet distance (FID)"] == ("3", "2 *", "–", "0.500")
    assert cells["Coverage"] == ("0.500", "0.700 *", "–", "")
    assert cells["Nearest-neighbour ratio"] == ("0.400", "2.20 *", "–", "1"), "twice the floor is nearer than 0.4 of it"
    assert cells["Training time"] == ("1 min 15 s", "–", "–", "")
    assert cells["Peak memory in training"] == ("1.50 GB", "–", "–", "")
    assert cells["Samples a second"] == ("5", "50 *", "5", "")
    assert cells["Parameters"] == ("10", "10", "10", "")
    likelihoods = {title: row for title, row in cells.items() if title.endswith(("data", "density"))}
    assert len(likelihoods) == 3 and all("*" not in "".join(row) for row in likelihoods.values())
    assert likelihoods["KL of the code (nats), of binarised data"][:2] == ("0", "20"), "an ignored code wins nothing"
    assert json.loads(comparison.model_dump_json())["contenders"][1]["likelihood"][0]["value"] == 90.0


def test_time_counts_every_session_and_nothing_where_there_is_none() -> None:
    records = [
        {"event": "health", "seconds": 99.0},
        {"event": "train", "seconds": 3},
        {"event": "train", "seconds": 1.5},
    ]
    assert training_seconds(records) == 4.5
    assert training_seconds(records[:1]) is None
    assert peak_memory(records) is None
    assert peak_memory([*records, {"event": "train", "peak_memory_bytes": 7}]) == 7


def test_bars_are_as_long_as_their_values() -> None:
    drawn = charts.bars("coverage", {"<a>": 0.25, "b": 0.5, "c": -1.0}, intervals={"b": (0.4, 0.5)}, floor=0.5)
    long, longest, none = (float(width) for width in re.findall(r'<rect class="bar"[^>]*? width="([\d.]+)"', drawn))
    assert longest == pytest.approx(2 * long, abs=0.1) and none == 0.0
    assert "&lt;a&gt;" in drawn and drawn.count("whisker") == 1 and drawn.count('class="mark"') == 1
