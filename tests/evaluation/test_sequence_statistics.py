"""What is counted on series, against closed forms, plain loops, and what must change when the series do."""

import math

import pytest
import torch
from tests.evaluation.series_in_memory import InMemory, spec_of, wave_data, waves, window_data
from torch import Tensor

from noiseforge.data.samples import Samples
from noiseforge.evaluation import sequence_statistics as statistics
from noiseforge.evaluation.distances import fid
from noiseforge.evaluation.sequence_kernels import Kernels, classified
from noiseforge.evaluation.sequence_neighbours import (
    Closeness,
    overlapping,
    time_warping,
    warped_coverage,
    window_starts,
)
from noiseforge.evaluation.sequence_view import Filled, filled, view

NAN = float("nan")


def test_gaps_are_filled_along_time_alone() -> None:
    x = torch.tensor([[[NAN, 7.0], [1.0, NAN], [NAN, NAN], [9.0, 9.0]]])
    assert filled(x, torch.tensor([3])).x.tolist() == [[[1.0, 7.0], [1.0, 7.0], [1.0, 7.0], [0.0, 0.0]]]


def test_views_are_finite_and_tell_gaps_and_lengths() -> None:
    x = waves(6, steps=150, features=2)
    gappy = x.masked_fill(torch.arange(150)[:, None] % 3 == 0, NAN)
    spec = spec_of(x, missing=True)
    length = torch.tensor([150, 100, 150, 150, 7, 1])
    whole, holes = (view(part, length, spec) for part in (x, gappy))
    assert whole.shape == holes.shape == (6, 50 * 2 + 2 + 1)
    assert bool(holes.isfinite().all())
    assert holes[1, -3:].tolist() == pytest.approx([0.34, 0.34, 100 / 150])


def test_autocorrelation_of_alternating_series() -> None:
    x = torch.tensor([1.0, -1.0]).repeat(8)[None, :, None]
    assert statistics.autocorrelation(x, 2).flatten().tolist() == pytest.approx([1, -1, 1])
    holes = x.clone()
    holes[0, 4:6] = NAN
    assert statistics.autocorrelation(holes, 2).flatten().tolist() == pytest.approx([1, -1, 1])


def test_correlations_of_opposite_features() -> None:
    x = torch.randn(50, 8, 1, generator=torch.Generator().manual_seed(0))
    alike, opposite = torch.cat([x, x], 2), torch.cat([x, -x], 2)
    assert statistics.correlation_difference(alike, opposite) == pytest.approx(0.2)
    holes = opposite.masked_fill(torch.rand(50, 8, 2, generator=torch.Generator().manual_seed(1)) < 0.3, NAN)
    assert statistics.correlation_difference(alike, holes) == pytest.approx(0.2, abs=0.01)


def test_moments_are_those_of_scipy() -> None:
    from scipy.stats import kurtosis, skew

    a, b = (torch.rand(40, 6, 1, generator=torch.Generator().manual_seed(seed)) ** (1 + seed) for seed in (0, 3))
    first, second = a.flatten().double().numpy(), b.flatten().double().numpy()
    assert statistics.skewness_difference(a, b) == pytest.approx(abs(skew(first) - skew(second)))
    assert statistics.kurtosis_difference(a, b) == pytest.approx(abs(kurtosis(first) - kurtosis(second)))


def test_twice_the_amplitude_is_six_decibels() -> None:
    x = waves(30)
    power = [statistics.power(filled(part)) for part in (x, 2 * x)]
    assert statistics.spectral_distance(power[0], power[1]) == pytest.approx(20 * math.log10(2), abs=1e-4)


def test_kernel_distance_is_the_mean_over_pairs() -> None:
    a, b = (torch.randn(5, 3, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    width = torch.pdist(a.double()).square().median()

    def kernel(x: Tensor, y: Tensor) -> float:
        return math.exp(-float((x - y).double().square().sum() / width))

    within = sum(kernel(part[i], part[j]) for part in (a, b) for i in range(5) for j in range(5) if i != j) / 20
    across = sum(kernel(x, y) for x in a for y in b) / 25
    assert statistics.kernel_distance(a, b) == pytest.approx(within - 2 * across)


def test_order_in_time_changes_what_looks_at_time_and_nothing_else() -> None:
    x = waves(100)
    mixed = x[:, torch.randperm(12, generator=torch.Generator().manual_seed(0))]
    kernels = Kernels(filled(x))
    power = [statistics.power(filled(part)) for part in (x, mixed)]
    assert statistics.autocorrelation_difference(x, mixed) > 0.2
    assert statistics.spectral_distance(*power) > 3
    seen, changed, fresh = (kernels(filled(part)) for part in (x, mixed, waves(100, seed=1)))
    assert fid(seen, changed) > 10 * fid(seen, fresh)
    assert statistics.marginal_difference(x, mixed) == 0.0


def test_missing_shares() -> None:
    x = torch.zeros(4, 6, 2)
    holes = x.clone()
    holes[:, :3, 0] = NAN
    ours, real = (Samples(part, length=torch.full((4,), 4)) for part in (holes, x))
    assert statistics.missing_difference(real, ours) == pytest.approx(0.75 / 2)


def test_time_warping_is_that_of_a_plain_loop() -> None:
    chance = torch.Generator().manual_seed(0)
    a, b = (filled(torch.randn(3, 9, 2, generator=chance), torch.tensor(length)) for length in ([9, 6, 8], [7, 9, 9]))
    found = time_warping(a, b, band=0.2)
    for i in range(3):
        for j in range(3):
            rows, columns = int(a.length[i]), int(b.length[j])
            best = torch.full((rows + 1, columns + 1), torch.inf, dtype=torch.float64)
            best[0, 0] = 0
            for s in range(rows):
                for t in range(max(s - 3, 0), min(s + 4, columns)):
                    cost = (a.x[i, s] - b.x[j, t]).double().square().sum()
                    best[s + 1, t + 1] = cost + min(best[s, t], best[s, t + 1], best[s + 1, t])
            assert float(found[i, j]) == pytest.approx(float(best[rows, columns].sqrt()), abs=1e-6)


def test_collapse_covers_little_and_noise_is_nowhere() -> None:
    real, fresh = filled(waves(60)), filled(waves(60, seed=1))
    one = Filled(real.x[:1].expand(60, -1, -1), real.length)
    noise = filled(torch.rand(60, 12, 3, generator=torch.Generator().manual_seed(0)))
    good, collapsed, wrong = (warped_coverage(real, fake) for fake in (fresh, one, noise))
    assert good.real > 0.8 and good.fake > 0.8
    assert collapsed.real < 0.3 and collapsed.fake == 1.0
    assert wrong.fake < 0.1


def test_windows_beside_one_another_do_not_make_near_mean_the_next() -> None:
    places = torch.arange(0, 120, 2)
    rising = torch.stack([0.1 * (places[:, None] + torch.arange(12)), torch.zeros(60, 12)], 2)
    windows = InMemory(rising, spec_of(rising), starts=places)
    same = overlapping(windows, torch.arange(60), torch.arange(60))
    real, beside = filled(rising), filled(rising + torch.tensor([0.0, 1.1]))
    assert warped_coverage(real, beside).real == 0.0
    assert warped_coverage(real, beside, same=same).real == 1.0


def test_copies_lie_on_their_originals() -> None:
    data = wave_data()
    closeness = Closeness(data.train)
    copied = closeness.nearest(filled(data.train.batch(torch.tensor([7, 3])).x))
    assert copied.place.tolist() == [7, 3]
    assert copied.distance.tolist() == [0.0, 0.0]
    # Whitening sees a change of one of two equal columns that the values hardly show.
    twins = waves(80, features=1).expand(-1, -1, 2) + 1e-3 * torch.randn(80, 12, 2, generator=torch.Generator())
    near = Closeness(InMemory(twins, spec_of(twins)))
    apart = near.nearest(filled(twins[:1] + torch.tensor([5e-3, -5e-3])), own=torch.tensor([-1]))
    assert float(apart.distance[0]) > 10


def test_windows_that_share_steps_are_no_neighbours() -> None:
    train = window_data(60).train
    assert isinstance(train, InMemory)
    places = torch.arange(60)
    assert torch.equal(overlapping(train, places, places), (places[:, None] - places).abs() < 12)
    assert window_starts(train) is train.starts
    assert window_starts(train.subset(places[::12])) is None
    near = Closeness(train).nearest(filled(train.batch(places).x), own=places)
    assert int((near.place - places).abs().min()) >= 12


def test_random_kernels_recognise_waves_of_another_pace() -> None:
    slow, y = waves(80), torch.arange(80) % 2
    fast = torch.where((y == 1)[:, None, None], slow[:, torch.arange(12) * 3 % 12], slow)
    found = classified(filled(fast[:40]), y[:40], filled(fast[40:]))
    assert float((found == y[40:]).double().mean()) > 0.9
