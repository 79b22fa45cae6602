"""The evaluation of series: good samples score like real ones, bad ones and copies do not, and it is all said."""

from functools import partial
from pathlib import Path

import pytest
import torch
from tests.evaluation.series_in_memory import parted, wave_data, waves, window_data
from torch import Tensor

from noiseforge.data.pictures import show
from noiseforge.data.samples import Samples
from noiseforge.data.spec import Data
from noiseforge.errors import UserError
from noiseforge.evaluation import sequence_study
from noiseforge.evaluation.figures import Evaluation
from noiseforge.evaluation.sequence_glossary import SERIES_GLOSSARY
from noiseforge.evaluation.sequence_measures import ON_DEMAND, QUICK, SERIES_METRICS
from noiseforge.evaluation.sequence_metrics import evaluate_series
from noiseforge.evaluation.sequence_official import Told
from noiseforge.evaluation.sequence_runs import Judge, Pair
from noiseforge.evaluation.sequence_sections import sequence_sections
from noiseforge.workflows.neighbours import neighbours

USUAL = tuple(name for name in SERIES_METRICS if name not in ON_DEMAND)
COUNTED = tuple(name for name in USUAL if not name.startswith(("discriminative", "strong", "predictive")))
WITHOUT_LABELS = tuple(
    name for name in COUNTED if name not in ("recognised", "length_difference", "missing_difference")
)


@pytest.fixture(autouse=True)
def short_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judges that learn for a moment."""
    monkeypatch.setattr(sequence_study, "told_apart", partial(sequence_study.told_apart, judge=Judge(iterations=4)))
    monkeypatch.setattr(sequence_study, "predicted", partial(sequence_study.predicted, judge=Judge(iterations=4)))
    monkeypatch.setattr("noiseforge.evaluation.sequence_judge.strong_judge", lambda units: Judge(4, 2, 4))
    monkeypatch.setattr("noiseforge.evaluation.sequence_judge.PREDICTING", Judge(iterations=4))


def values(evaluation: Evaluation) -> dict[str, float]:
    return {figure.metric: figure.value for figure in evaluation.figures}


def test_every_figure_has_its_floor_its_spread_and_its_meaning() -> None:
    evaluation = evaluate_series(Samples(waves(90, seed=2)), wave_data(), seed=3, subject="fakes")
    measured = {figure.metric: figure for figure in evaluation.figures}
    assert set(measured) == {*USUAL} - {"recognised", "length_difference", "missing_difference"}
    assert all(figure.floor is not None and figure.seed == 3 for figure in evaluation.figures)
    assert set(SERIES_GLOSSARY) | {"nearest_ratio"} == set(SERIES_METRICS) >= {*QUICK}
    official = measured["discriminative_score"]
    assert official.low is not None and official.high is not None and official.low <= official.value <= official.high
    assert (official.n_real, official.n_fake) == (90, 90)
    assert all(word in official.note for word in ("by seed", "std", "max", "AUC", "as published"))
    held = measured["discriminative_score_held_out"]
    assert (held.n_real, evaluation.reference) == (80, "test")
    assert "PCA-Gaussian" in measured["kernel_distance"].note


@pytest.mark.parametrize(
    ("kind", "better", "than"),
    [
        ("collapse", "warped_coverage", 0.3),
        ("noise", "warped_precision", 0.2),
        ("noise", "autocorrelation_difference", -0.2),
        ("noise", "frechet_kernels", -20.0),
        ("copies", "nearest_ratio", 0.1),
        ("copies", "close_share", -0.9),
    ],
)
def test_bad_samples_score_badly_where_good_ones_do_not(kind: str, better: str, than: float) -> None:
    data = wave_data()
    bad = {
        "collapse": waves(1).expand(80, -1, -1),
        "noise": torch.rand(80, 12, 3, generator=torch.Generator().manual_seed(0)),
        "copies": data.train.batch(torch.arange(80)).x,
    }[kind]
    poor, fine = (
        values(evaluate_series(Samples(x), data, metrics=(better,)))[better] for x in (bad, waves(80, seed=5))
    )
    # A limit below 0 is one that bad samples lie above.
    assert (poor < than < fine) if than > 0 else (poor > -than > fine)


def test_nothing_held_out_is_said_and_neighbours_share_no_step() -> None:
    data = window_data()
    evaluation = evaluate_series(
        Samples(*data.train.batch(torch.arange(100))[:1]), data, metrics=("discriminative_score", "close_share")
    )
    assert "nothing is held out" in evaluation.figures[0].note
    assert "share no step" in evaluation.figures[1].note
    assert evaluation.figures[1].value == 1.0
    assert evaluation.reference == "train"
    with pytest.raises(UserError, match="split the data"):
        evaluate_series(Samples(waves(20)), data, metrics=("discriminative_score_held_out",))


def ragged() -> tuple[Tensor, Tensor, Tensor]:
    """Waves of two kinds of 6 to 12 steps, with gaps."""
    x, y, length = waves(120), torch.arange(120) % 2, torch.arange(120) % 7 + 6
    x = torch.where((y == 1)[:, None, None], x[:, torch.arange(12) * 3 % 12], x)
    x = x.masked_fill(torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.2, float("nan"))
    x[0, :, 1] = float("nan")
    return x.masked_fill(torch.arange(12)[:, None] >= length[:, None, None], 0.0), y, length


def test_gaps_lengths_and_labels_are_judged() -> None:
    x, y, length = ragged()
    data = parted(x, 60, y=y, length=length, classes=2)
    evaluation = evaluate_series(Samples(x[60:], y[60:], length[60:]), data)
    found = values(evaluation)
    assert set(found) == set(USUAL)
    assert found["recognised"] > 0.8
    assert found["missing_difference"] == found["length_difference"] == 0.0
    whole = values(evaluate_series(Samples(waves(60)), data, metrics=("missing_difference", "length_difference")))
    assert whole["missing_difference"] == pytest.approx(0.2, abs=0.03)
    assert whole["length_difference"] > 0.7


def test_single_features_and_other_scales_are_judged() -> None:
    data = parted(20 * waves(80, features=1) - 3, 40)
    data = Data(data.train, data.test, data.spec.model_copy(update={"value_range": None}))
    evaluation = evaluate_series(Samples(20 * waves(40, steps=9, features=1, seed=4) - 3), data)
    assert values(evaluation)["length_difference"] == 1.0
    assert values(evaluation)["predictive_score"] < 1


@pytest.mark.parametrize(
    ("samples", "settings", "says"),
    [
        (Samples(waves(20, features=2)), {}, r"\(N, T, 3\)"),
        (Samples(waves(3)), {}, "needs 5 samples"),
        (Samples(waves(20) / 0), {}, "20 of 20 samples hold infinite values"),
        (Samples(waves(20).fill_(float("nan"))), {}, "or none at all"),
        (Samples(waves(20), length=torch.full((20,), 13)), {}, "one length from 1 to 12"),
        (Samples(waves(20)), {"metrics": ("kernel_distanse",)}, "kernel_distance"),
        (Samples(waves(20)), {"metrics": ("recognised",)}, "labels"),
        (Samples(waves(20)), {"features": "judge"}, "leave features out"),
    ],
)
def test_what_cannot_be_judged_is_said(samples: Samples, settings: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        evaluate_series(samples, wave_data(), **settings)  # type: ignore[arg-type]


def test_larger_judges_are_trained_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Judge] = []

    def told_apart(pairs: list[Pair], *, judge: Judge, **settings: object) -> list[Told]:
        asked.append(judge)
        return [Told(torch.tensor([0.6, 0.2, 0.5]), torch.full((3,), 0.7)) for _ in pairs]

    monkeypatch.setattr(sequence_study, "told_apart", told_apart)
    (figure,) = evaluate_series(Samples(waves(60)), wave_data(), metrics=("official_judge_64",)).figures
    assert asked == [Judge(64, layers=2, iterations=2_000, batch=128, rate=1e-3)]
    assert figure.value == pytest.approx((0.1 + 0.3 + 0.0) / 3)
    assert figure.extractor == "gru-2x64/2000x128"


def test_the_same_seed_gives_the_same_figures() -> None:
    metrics = ("discriminative_score", "strong_judge_32", *WITHOUT_LABELS)
    first, second = (evaluate_series(Samples(waves(60, seed=2)), wave_data(), metrics=metrics) for _ in range(2))
    assert first.figures == second.figures


def test_sections_and_pictures_show_series(tmp_path: Path) -> None:
    x, y, length = ragged()
    data = parted(x, 60, y=y, length=length, classes=2)
    sections = sequence_sections(Samples(x[60:], y[60:], length[60:]), data)
    assert ["".join(sections).count(f"<h2>{name}") for name in ("Samples", "Beside", "Nearest")] == [1, 1, 1]
    assert sum(section.count("data:image/png;base64,") for section in sections) == 7
    few, many = (show(x[:count], data.spec) for count in (1, 30))
    assert few.width < many.width and few.height < many.height


def test_neighbours_are_in_source_units_with_a_picture(tmp_path: Path) -> None:
    data = wave_data()
    columns = tuple(column.model_copy(update={"offset": 5.0, "scale": 10.0}) for column in data.spec.columns)
    data = Data(data.train, data.test, data.spec.model_copy(update={"columns": columns}))
    copies = data.train.batch(torch.tensor([4, 2])).x
    found = neighbours((5 + 10 * copies).numpy(), data=data, out=tmp_path / "pairs.png")
    assert found.indices.tolist() == [4, 2]
    assert (tmp_path / "pairs.png").is_file()
    torch.testing.assert_close(torch.from_numpy(found.nearest).float(), 5 + 10 * copies)
