"""Levels are drawn as they lie in the data, class by class, and the same for the same noise."""

import pytest
import torch

from noiseforge.networks.sequence.levels import LevelMixture, Shares


def test_levels_of_equal_noise_are_equal_and_keep_to_their_class() -> None:
    mixture = LevelMixture(2, 4, classes=2)
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(2000) % 2
    level = torch.randn(2000, 2, generator=rng) * torch.tensor([1.0, 0.0]) + y[:, None] * torch.tensor([10.0, 0.0])
    mixture.fit(level, y, kept=torch.tensor([1.0, 0.0]))
    z, ones = torch.randn(4000, 3, generator=rng), torch.ones(4000, dtype=torch.long)
    drawn = mixture(z, ones)
    assert torch.equal(drawn, mixture(z, ones))
    assert drawn[:, 0].mean().item() == pytest.approx(10.0, abs=0.15)
    assert drawn[:, 0].std().item() == pytest.approx(1.0, abs=0.1)
    assert (drawn[:, 1] == 0).all(), "a level that does not vary stays at 0"


def test_levels_are_not_those_of_the_few_series_that_a_component_stands_for() -> None:
    """Windows that overlap are many with nearly one level: drawn levels are near it, not on it."""
    spells = torch.randn(20, 1, 2, generator=torch.Generator().manual_seed(0)).expand(-1, 100, -1).flatten(0, 1)
    mixture = LevelMixture(2, 64)
    mixture.fit(spells, None, kept=torch.ones(2))
    drawn = mixture(torch.randn(4000, 3, generator=torch.Generator().manual_seed(1)))
    assert float(torch.cdist(drawn, spells).amin(1).median()) > 0.1


@pytest.mark.parametrize(("levels", "components"), [(1, 5), (20, 2)])
def test_few_series_have_few_components(levels: int, components: int) -> None:
    """Fewer still of many levels, of which each component has a covariance."""
    mixture = LevelMixture(levels, 24)
    level = torch.randn(250, levels, generator=torch.Generator().manual_seed(0))
    mixture.fit(level, None, kept=torch.ones(levels))
    assert int((mixture.shares > 0).sum()) == components
    assert mixture.shares.sum().item() == pytest.approx(1.0)


def test_shares_come_back_and_those_that_are_equal_take_no_part() -> None:
    share = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)).mul(0.5).add(0.4)
    share[:, 1] = 0.7
    shares = Shares(3)
    shares.fit(share)
    numbers = shares(share)
    assert not numbers[:, 1].any()
    torch.testing.assert_close(numbers[:, ::2].std(0, correction=0), torch.ones(2))
    torch.testing.assert_close(shares.restore(numbers), share)
    assert torch.equal(shares.restore(numbers + 9)[:, ::2], share.amax(0)[::2].expand(500, 2))


def test_levels_that_never_vary_ask_for_no_more_series() -> None:
    level = torch.randn(400, 20, generator=torch.Generator().manual_seed(0))
    kept = (torch.arange(20) < 4).float()
    level = level * kept
    few, many = LevelMixture(20, 24), LevelMixture(20, 24)
    few.fit(level, None, torch.ones(20))
    many.fit(level, None, kept)
    assert int((few.shares > 0).sum()) < int((many.shares > 0).sum()) == 400 // 50
