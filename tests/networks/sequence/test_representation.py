"""Which means and scales are told of a series, and how series that are made come to have them."""

import pytest
import torch
from torch import Tensor

from noiseforge.data.spec import Batch, Spec
from noiseforge.errors import UserError
from noiseforge.networks.sequence.representation import FLATTEST, Representation

N, STEPS = 500, 24
WALK, NOISE, BURSTS = range(3)


class Data:
    """(N, T, D) in memory."""

    def __init__(self, x: Tensor) -> None:
        self.x, self.labels, self.length = x, None, None
        self.spec = Spec(source="x", modality="sequence", shape=tuple(x.shape[1:]), fingerprint="0")

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: Tensor) -> Batch:
        return Batch(self.x[indices])

    def subset(self, indices: Tensor) -> "Data":
        return Data(self.x[indices])


def columns() -> Tensor:
    """A walk that starts anywhere, uniform noise, and noise that is quiet in one series and loud in another."""
    rng = torch.Generator().manual_seed(0)
    walk = 5 * torch.randn(N, 1, generator=rng) + torch.randn(N, STEPS, generator=rng).cumsum(1)
    noise = torch.rand(N, STEPS, generator=rng)
    bursts = torch.randn(N, 1, generator=rng).exp() * torch.randn(N, STEPS, generator=rng)
    return torch.stack([walk, noise, bursts], 2)


def prepared(x: Tensor) -> Representation:
    representation = Representation(Data(x).spec, normalise=True)
    representation.prepare(Data(x))
    return representation


def place(representation: Representation, column: int) -> int:
    """Where the component is that a column has the most of."""
    return int(representation.whitening.inverse[:, column].abs().argmax())


def test_means_and_scales_are_told_where_series_differ_in_them() -> None:
    representation = prepared(columns())
    mean, scale = representation.told.chunk(2)
    told = {column: (bool(mean[i]), bool(scale[i])) for column in range(3) for i in [place(representation, column)]}
    assert told == {WALK: (True, True), NOISE: (False, False), BURSTS: (False, True)}


def test_noise_alone_keeps_its_distribution_and_is_not_coded() -> None:
    x = columns()
    representation = prepared(x)
    at, view = place(representation, NOISE), representation(x, None)
    torch.testing.assert_close(view.real[..., at], representation.whitening(x)[..., at])
    parts = representation.parts(torch.ones(2, STEPS, 3), view.level[:2])
    assert [bool(parts.real[..., place(representation, column)].any()) for column in range(3)] == [True, False, True]
    torch.testing.assert_close(representation.values(view.real, view.level), x, atol=1e-3, rtol=0)


def test_what_is_made_has_the_mean_and_the_scale_that_are_told() -> None:
    x = columns()
    representation = prepared(x)
    view = representation(x, None)
    length = torch.randint(5, STEPS + 1, (N,), generator=torch.Generator().manual_seed(1))
    made = representation.levelled(2 * torch.randn(view.real.shape) + 1, view.level, length)
    alive = torch.arange(STEPS) < length[:, None]
    walk = made[..., place(representation, WALK)]
    of_all = torch.stack([row[there].square().mean() for row, there in zip(walk, alive, strict=True)])
    mean = torch.stack([row[there].mean() for row, there in zip(walk, alive, strict=True)])
    torch.testing.assert_close(mean, torch.zeros(N), atol=1e-5, rtol=0)
    torch.testing.assert_close(of_all, torch.ones(N), atol=0.2, rtol=0)
    assert made[..., place(representation, NOISE)].std() == pytest.approx(2.0, rel=0.05), "what is not told is left"


def test_series_of_the_data_are_levelled_already() -> None:
    x = columns()
    representation = prepared(x)
    view = representation(x, None)
    again = representation.levelled(view.real, view.level, torch.full((N,), STEPS))
    torch.testing.assert_close(again, view.real, atol=FLATTEST, rtol=FLATTEST)


def test_noise_of_which_nothing_is_told_has_no_levels() -> None:
    representation = prepared(columns()[..., NOISE : NOISE + 1])
    assert not representation.told.any()
    assert not representation(columns()[:9, :, NOISE : NOISE + 1], None).level.any()


def test_columns_that_are_all_constant_are_refused() -> None:
    with pytest.raises(UserError, match="constant"):
        prepared(torch.ones(10, STEPS, 2))
