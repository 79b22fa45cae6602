"""Modes, classes and copies: closed forms, and the noise floors that a perfect sampler leaves."""

import math

import pytest
import torch

from noiseforge.evaluation.bootstrap import mean_interval, resampled_interval
from noiseforge.evaluation.classes import inception_score, mixture_modes, modes_and_kl, reverse_kl_floor
from noiseforge.evaluation.memorisation import copies, nearest_ratio


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_reverse_kl_in_closed_form() -> None:
    found = modes_and_kl(torch.tensor([0, 0, 0, 1]), 4)
    assert found.modes == 2
    assert found.reverse_kl == pytest.approx(0.75 * math.log(3) + 0.25 * math.log(1))


@pytest.mark.parametrize(("n", "classes"), [(26_000, 1_000), (2_500, 25)])
def test_the_simulated_floor_of_the_reverse_kl_is_its_expansion(n: int, classes: int, rng: torch.Generator) -> None:
    assert reverse_kl_floor(n, classes, rng) == pytest.approx(reverse_kl_floor(n, classes), rel=0.05)


def test_mixture_modes_need_one_point_of_high_quality() -> None:
    means = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = torch.tensor([[0.0, 0.29], [0.1, 0.0], [10.0, 0.31], [8.0, 0.0]])
    found = mixture_modes(points, means, 0.1)
    assert (found.modes, found.high_quality) == (1, 0.5)
    assert found.reverse_kl == pytest.approx(math.log(3 / 2))


def test_inception_score_of_a_constant_is_1() -> None:
    assert inception_score(torch.full((30, 4), 0.25)) == pytest.approx((1.0, 0.0))


def test_nearest_ratio_and_copies() -> None:
    assert nearest_ratio(torch.zeros(3), torch.zeros(3)) == 1.0
    assert nearest_ratio(torch.ones(3), torch.zeros(3)) == math.inf
    # 16 values that are all wrong by half a grey level, or by a whole one.
    assert copies(torch.tensor([4 / 255, 8 / 255]) * 0.999, 16).tolist() == [1.0, 0.0]


def test_intervals_hold_the_truth_about_95_times_in_100(rng: torch.Generator) -> None:
    held = 0
    for _ in range(200):
        units = (torch.rand(100, generator=rng) < 0.3).double()
        low, high = mean_interval(units, generator=rng, replicates=200)
        held += low <= 0.3 <= high
    assert 0.88 < held / 200 < 0.99


def test_resampled_intervals_surround_a_value_that_resampling_biases(rng: torch.Generator) -> None:
    def distinct(x: torch.Tensor) -> float:
        return float(len(x.unique()))

    x = torch.arange(100.0)
    interval = resampled_interval(distinct, x, value=100.0, generator=rng)
    assert interval is not None
    assert 90 < interval.low < 100 < interval.high < 110
    assert resampled_interval(distinct, x, value=100.0, generator=rng, replicates=5) is None
