"""Chances are brought to the shares of the data, whatever a decoder says."""

import torch
from tests.models.test_series import Series

from noiseforge.networks.sequence.balance import Balance
from noiseforge.networks.sequence.representation import Representation


def test_chances_have_the_shares_of_the_data_on_average() -> None:
    """Of lengths before all, and of gaps over the steps that series then have; lengths that never were stay out."""
    draws, shares = torch.Generator().manual_seed(0), torch.tensor([0.0, 0.1, 0.2, 0.0, 0.7])
    balance = Balance(5, 2, 0)
    balance.share.copy_(torch.tensor([0.05, 0.6]))
    length = 3 * torch.randn(3000, 5, generator=draws) + torch.where(shares > 0, 0, -1e4)
    missing = 6 * torch.randn(3000, 5, 2, generator=draws) - 4
    assert (length.softmax(1).mean(0) - shares).abs().max() > 0.3
    balance.fit(length, missing, shares)
    chances = (length + balance.length).softmax(1)
    torch.testing.assert_close(chances.mean(0), shares, atol=1e-3, rtol=0)
    lasts = chances.flip(1).cumsum(1).flip(1)[..., None]
    gone = ((missing + balance.missing).sigmoid() * lasts).sum((0, 1)) / lasts.sum()
    torch.testing.assert_close(gone, balance.share, atol=1e-4, rtol=0)


def test_shares_are_those_of_the_data() -> None:
    data = Series()
    representation = Representation(data.spec, normalise=True)
    representation.prepare(data)
    rows = torch.arange(0, 256, 4).repeat(3)[:100]  # of the first class alone
    rows[:20] = torch.arange(1, 41, 2)
    batch = data.batch(rows)
    balance = Balance(representation.steps, len(representation.gaps), 2)
    balance.learn(representation(batch.x, batch.length), batch.y)
    assert batch.length is not None
    there = torch.arange(representation.steps) < batch.length[:, None]
    found = [batch.x[..., place.start][there].isnan().float().mean() for place in representation.gaps]
    torch.testing.assert_close(balance.share, torch.stack(found))
    labels = balance.labels(1000)
    assert labels is not None and labels.bincount().tolist() == [800, 200]
    assert Balance(3, 0, 0).labels(5) is None
