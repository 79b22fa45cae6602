"""Figures of a classifier against closed forms, and the verdict on the reach of its gradients."""

import math

import pytest
import torch

from noiseforge.errors import UserError
from noiseforge.evaluation.bootstrap import wilson
from noiseforge.evaluation.classification import calibration_error, classification_figures
from noiseforge.evaluation.evidence import Evidence, Record
from noiseforge.evaluation.gradient_reach import learned, typical_reach, verdict

CLASSES = ("a", "b", "c")


def test_figures_are_those_of_a_table_by_hand() -> None:
    y = torch.tensor([0] * 6 + [1] * 4)
    named = torch.tensor([0] * 6 + [1, 1, 1, 0])
    probability = torch.full((10, 3), 0.1)
    probability[torch.arange(10), named] = 0.8
    figures = {figure.metric: figure for figure in classification_figures(probability, y, classes=CLASSES, seed=3)}
    accuracy, recall = figures["accuracy"], figures["least_recall"]
    assert accuracy.value == 0.9 and (accuracy.low, accuracy.high) == wilson(0.9, 10)
    assert recall.value == 0.75 and (recall.low, recall.high) == wilson(0.75, 4) and "class b, 4" in recall.note
    assert figures["cross_entropy"].value == pytest.approx(-(9 * math.log(0.8) + math.log(0.1)) / 10)
    assert figures["calibration_error"].value == pytest.approx(0.1, abs=1e-6)
    for figure in figures.values():
        assert figure.low <= figure.value <= figure.high and figure.n_real == 10 and figure.seed == 3
    with pytest.raises(UserError, match="1 example or more"):
        classification_figures(probability[:0], y[:0], classes=CLASSES)


def test_calibration_error_compares_within_bins() -> None:
    """Half are named rightly: 0.6 and 0.4 sure of it cancel over all, and do not within their bins."""
    sure = torch.tensor([[0.6, 0.4], [0.95, 0.05]]).repeat_interleave(10, 0)
    y = torch.tensor([0] * 10 + [0] * 5 + [1] * 5)
    assert calibration_error(sure, y) == pytest.approx((0.4 + 0.45) / 2, abs=1e-6)


def looks(last: float, *, accuracy: float = 0.9) -> list[Record]:
    """Eight looks in which the gradient 16 steps back is a share `last` of that at the last step."""
    norms = [1.0, 0.9, 0.8, 0.7, 0.6, last]
    told = {"accuracy": accuracy, "chance": 0.1, "count": 256.0, "gradient_by_distance": norms}
    return [{"event": "health", "images": 100 * i, **told} for i in range(8)]


@pytest.mark.parametrize(("last", "level"), [(0.5, "good"), (1e-3, "watch"), (1e-7, "alarm"), (1e6, "alarm")])
def test_gradients_that_vanish_or_explode_are_told(last: float, level: str) -> None:
    records = looks(last)
    finding = verdict(Evidence(records, records))
    assert finding is not None and finding.level == level
    assert ("vanish" in finding.sentence) == (last == 1e-7) and ("explode" in finding.sentence) == (last == 1e6)
    assert finding.numbers[0].value == pytest.approx(last) and ("model.cell=lstm" in finding.advice) == (
        level != "good"
    )


def test_nothing_is_said_without_looks_or_over_a_few_steps() -> None:
    short = [{"event": "health", "gradient_by_distance": [1.0, 1e-9]}]
    assert verdict(Evidence([], [])) is None and verdict(Evidence(short, short)) is None
    assert typical_reach([]) == [] and learned(Evidence([], [])) is None


@pytest.mark.parametrize(("accuracy", "level"), [(0.9, "good"), (0.11, "watch")])
def test_a_classifier_has_learned_what_chance_does_not_give(accuracy: float, level: str) -> None:
    records = looks(0.5, accuracy=accuracy)
    finding = learned(Evidence(records, records))
    assert finding is not None and finding.level == level
