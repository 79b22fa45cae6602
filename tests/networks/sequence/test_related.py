"""Channels hang together by what they share, over time and through others, and not by what all series share."""

import torch

from noiseforge.networks.sequence.related import related, related_columns


def test_columns_that_only_rise_together_are_apart_and_those_of_one_cause_are_not() -> None:
    rng = torch.Generator().manual_seed(0)
    cause, own = torch.randn(2000, 12, 2, generator=rng).unbind(2)
    x = torch.stack([cause, own, cause + own.flip(0)], 2) + torch.arange(12)[:, None]
    assert related_columns(x, torch.ones_like(x, dtype=torch.bool)).tolist() == [0, 1, 0]


def test_gaps_do_not_count() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(3000, 6, 2, generator=rng)
    gone = torch.rand(3000, 6, generator=rng) < 0.3
    filled = x.masked_fill(gone.unsqueeze(2), 9.0)
    assert related_columns(filled, torch.ones_like(x, dtype=torch.bool)).tolist() == [0, 0]
    assert related_columns(filled, ~gone.unsqueeze(2).expand_as(x)).tolist() == [0, 1]


def test_channels_are_related_by_other_steps_and_by_channels_in_between() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(5000, 4, 4, generator=rng)
    x[:, 1:, 1] += x[:, :-1, 0]  # the second is the first, a step later
    x[:, :, 2] += x[:, :, 1]
    assert related(x.flatten(1).T.cov(), 4).tolist() == [0, 0, 0, 1] * 4


def test_constant_channels_are_alone_and_no_channels_are_none() -> None:
    assert related(torch.diag(torch.tensor([1.0, 0.0, 0.0])), 3).tolist() == [0, 1, 2]
    assert related(torch.zeros(0, 0), 0).tolist() == []
