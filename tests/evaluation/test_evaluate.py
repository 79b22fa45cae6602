"""The whole evaluation: what it says of good and bad samples, and what it refuses."""

import math

import pytest
import torch
from torch import Tensor

from noiseforge.data import Data, load_data
from noiseforge.errors import UserError
from noiseforge.evaluation.evaluate import evaluate_samples
from noiseforge.evaluation.figures import Evaluation


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits", test_fraction=0.3)


@pytest.fixture(scope="module")
def real(digits: Data) -> tuple[Tensor, Tensor]:
    """As many training digits as there are test digits, and their labels."""
    x, y, *_ = digits.train.batch(torch.arange(len(digits.test)))
    assert y is not None
    return x, y


def values(evaluation: Evaluation) -> dict[str, float]:
    return {figure.metric: figure.value for figure in evaluation.figures}


def test_every_figure_of_real_samples_is_near_its_floor(digits: Data, real: tuple[Tensor, Tensor]) -> None:
    stages: list[str] = []
    x, y = real
    evaluation = evaluate_samples(x, digits, labels=y, progress=lambda stage, share: stages.append(stage))
    assert stages[-1] == "evaluated"
    assert evaluation.judge_accuracy is not None and evaluation.judge_accuracy > 0.97
    assert sum(evaluation.class_histogram) == pytest.approx(1.0)
    assert Evaluation.model_validate_json(evaluation.model_dump_json()) == evaluation
    for name in ("precision", "recall", "density", "coverage", "inception_score", "label_agreement"):
        figure = evaluation.figure(name)
        assert figure is not None and figure.floor == pytest.approx(figure.value, rel=0.1)
    for figure in evaluation.figures:
        assert figure.low is not None and figure.high is not None
        assert figure.low <= figure.value <= figure.high
        assert math.isfinite(figure.floor if figure.floor is not None else math.nan)
    # Training examples given for samples: every one is a copy, where hardly any test example is.
    copies = evaluation.figure("copies")
    assert copies is not None and copies.value == 1.0 and copies.floor is not None and copies.floor < 0.01
    assert evaluate_samples(x, digits, labels=y).figures == evaluation.figures


def test_collapsed_samples_are_told_from_real_ones(digits: Data, real: tuple[Tensor, Tensor]) -> None:
    x, y = real
    collapsed = x[y == 3][:5].repeat(len(x) // 5, 1, 1, 1)
    found = evaluate_samples(collapsed, digits, metrics=("fid", "kid", "recall", "class_min_share", "pairwise_ratio"))
    for figure in found.figures:
        assert figure.floor is not None
        worse = figure.value > figure.floor if figure.better == "lower" else figure.value < figure.floor
        assert worse, figure.metric
    assert values(found)["recall"] < 0.05
    assert values(found)["class_min_share"] == 0.0
    assert found.class_histogram[3] > 0.9


def test_n_is_equalised_and_said(digits: Data) -> None:
    noise = torch.randn(900, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = evaluate_samples(noise, digits, features="pixels", metrics=("fid", "nearest_ratio"))
    fid, ratio = found.figures
    assert (fid.n_real, fid.n_fake) == (len(digits.test), len(digits.test))
    assert f"{len(digits.test)} of 900 samples" in fid.note
    assert ratio.value > 1
    small = digits._replace(train=digits.train.subset(torch.arange(20)))
    without_floor = evaluate_samples(noise[:50], small, features="pixels", metrics=("fid",)).figures[0]
    assert without_floor.floor is None and "no floor" in without_floor.note


def test_features_are_made_only_where_a_metric_asks(digits: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noiseforge.evaluation.evaluate.extractor", lambda *_, **__: pytest.fail("built for nothing"))
    found = evaluate_samples(digits.test.batch(torch.arange(50)).x, digits, metrics=("nearest_ratio", "copies"))
    ratio = found.figure("nearest_ratio")
    assert ratio is not None and ratio.better == "floor" and ratio.floor == 1.0
    assert found.judge_accuracy is None and found.class_histogram == ()
    with pytest.raises(UserError, match="did you mean 'inception'"):
        evaluate_samples(torch.zeros(9, 1, 8, 8), digits, metrics=("copies",), features="inseption")


def test_points_of_a_mixture_are_counted_in_source_units() -> None:
    data = load_data("ring")
    x, y, *_ = data.train.batch(torch.arange(2500))
    assert y is not None
    whole = values(evaluate_samples(x, data))
    assert whole["modes"] == 8
    assert whole["high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=0.01)
    assert whole["reverse_kl"] < 0.01
    part = values(evaluate_samples(x[y < 4], data))
    assert part["modes"] == 4
    assert part["reverse_kl"] == pytest.approx(math.log(2), abs=0.01)


def test_data_without_labels_is_compared_by_random_features(digits: Data, real: tuple[Tensor, Tensor]) -> None:
    nameless = digits._replace(spec=digits.spec.model_copy(update={"classes": ()}))
    found = evaluate_samples(real[0], nameless)
    assert found.judge_accuracy is None and found.class_histogram == ()
    assert {figure.extractor.split("-")[0] for figure in found.figures} == {"random", "pixels"}


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda x: x[:, :, :7], {}, r"\(N, 1, 8, 8\)"),
        (lambda x: x[:1], {}, "at least 2 samples"),
        (lambda x: x.index_fill(0, torch.tensor([4]), math.nan), {}, "1 of 20 samples .* number 4"),
        (lambda x: x, {"metrics": ("fidd",)}, "did you mean 'fid'"),
        (lambda x: x, {"metrics": ("high_quality",)}, "for ring and grid"),
        (lambda x: x, {"metrics": ("label_agreement",)}, "pass labels"),
        (lambda x: x, {"metrics": ("modes",), "features": "pixels"}, "use features=judge"),
        (lambda x: x, {"labels": torch.zeros(3, dtype=torch.int64)}, "one whole-number label"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(digits: Data, change, options, message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluate_samples(change(torch.zeros(20, 1, 8, 8)), digits, **options)
