"""Which means and scales are told of a series, and how series that are made come to have them."""

import pytest
import torch
from torch import Tensor

from noiseforge.data.spec import Batch, Column, Spec
from noiseforge.errors import UserError
from noiseforge.networks.sequence.representation import FLATTEST, Representation

N, STEPS = 500, 24
NEAR = {"atol": 1e-3, "rtol": 1e-3}
WALK, NOISE, BURSTS = range(3)


class Data:
    """(N, T, D) in memory."""

    def __init__(self, x: Tensor) -> None:
        self.x, self.labels, self.length = x, None, None
        gaps = x.isnan().any(0).any(0).tolist()
        names = tuple(Column(name=str(index), missing=gap) for index, gap in enumerate(gaps))
        self.spec = Spec(source="x", modality="sequence", shape=tuple(x.shape[1:]), columns=names, fingerprint="0")

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
    alive = torch.arange(STEPS) < length[:, None]
    made = representation.levelled(2 * torch.randn(view.real.shape) + 1, view.level, alive)
    walk = made[..., place(representation, WALK)]
    of_all = torch.stack([row[there].square().mean() for row, there in zip(walk, alive, strict=True)])
    mean = torch.stack([row[there].mean() for row, there in zip(walk, alive, strict=True)])
    torch.testing.assert_close(mean, torch.zeros(N), atol=1e-5, rtol=0)
    torch.testing.assert_close(of_all, torch.ones(N), atol=0.2, rtol=0)
    assert made[..., place(representation, NOISE)].std() == pytest.approx(2.0, rel=0.05), "what is not told is left"


def test_series_have_the_share_of_the_scale_that_is_wanted_of_each() -> None:
    x = columns()
    representation = prepared(x)
    view, at = representation(x, None), place(representation, BURSTS)
    share = torch.rand(N, 1, 3, generator=torch.Generator().manual_seed(1))
    told = representation.share(view.real / 2, view.level, view.alive)[:, at]
    torch.testing.assert_close(told, torch.full((N,), 0.25), **NEAR)
    whole, part = (
        representation.levelled(torch.randn(view.real.shape), view.level, view.alive, wanted)[..., at]
        for wanted in (1.0, share)
    )
    torch.testing.assert_close(part.var(1), whole.var(1) * share[:, 0, at], **NEAR)


def test_series_of_the_data_are_levelled_already() -> None:
    x = columns()
    representation = prepared(x)
    view = representation(x, None)
    again = representation.levelled(view.real, view.level, view.alive)
    torch.testing.assert_close(again, view.real, atol=FLATTEST, rtol=FLATTEST)


def test_gaps_are_seen_on_the_line_between_what_is_known() -> None:
    x = torch.randn(N, 1, 3, generator=torch.Generator().manual_seed(0)) * torch.linspace(-1, 1, STEPS)[:, None]
    x = x + torch.tensor([0.0, 1.0, 2.0])
    representation = prepared(x)
    gappy = x.clone()
    gappy[:, 3:7, 0] = torch.nan
    gappy[0, :, 1] = torch.nan
    view = representation(gappy, None)
    there = representation.values(view.real, view.level)
    torch.testing.assert_close(there[1:], x[1:], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(there[0, :, 1], representation.whitening.mean[1].expand(STEPS), atol=1e-3, rtol=1e-3)


def test_drawn_series_have_the_levels_that_they_show_once_their_gaps_are_filled() -> None:
    x, rng = columns(), torch.Generator().manual_seed(1)
    x = torch.where(torch.rand(x.shape, generator=rng) < 0.3, torch.nan, x)
    representation = prepared(x)
    view = representation(x, None)
    real, missing = torch.randn(view.real.shape, generator=rng), view.missing
    shown = []
    for filled in (missing, None):
        made = representation.levelled(real, view.level, view.alive, missing=filled)
        series = representation.values(made, view.level).masked_fill(missing > 0.5, torch.nan)
        shown.append((representation(series, None).level - view.level).abs().mean(0))
    told = representation.level_whitening.kept > 0
    assert float(shown[0][told].max()) < 0.05
    assert float(shown[1][told].max()) > 0.2, "else gaps make no difference here"


def test_gaps_that_leave_next_to_nothing_blow_nothing_up() -> None:
    x = columns()
    x[0, 0] = torch.nan
    representation = prepared(x)
    assert len(representation.gaps) == 3
    view = representation(columns(), None)
    real = torch.randn(view.real.shape, generator=torch.Generator().manual_seed(1))
    for kept in (0, 1, 2):
        missing = torch.ones_like(real)
        missing[:, :kept, NOISE] = missing[..., WALK] = missing[..., BURSTS] = 0
        missing[1::2, kept:, BURSTS] = 1
        made = representation.levelled(real, view.level, view.alive, missing=missing)
        assert float(made.abs().max()) < 2.5 * float(real.abs().max())
    whole, gone = representation.levelled(real, view.level, view.alive), torch.zeros_like(real)
    gone[..., WALK] = 1
    made = representation.levelled(real, view.level, view.alive, missing=gone)
    torch.testing.assert_close(made, whole, atol=1e-4, rtol=1e-4)  # all of a column tells nothing of the others


def test_noise_of_which_nothing_is_told_has_no_levels() -> None:
    representation = prepared(columns()[..., NOISE : NOISE + 1])
    assert not representation.told.any()
    assert not representation(columns()[:9, :, NOISE : NOISE + 1], None).level.any()


def test_columns_that_are_all_constant_are_refused() -> None:
    with pytest.raises(UserError, match="constant"):
        prepared(torch.ones(10, STEPS, 2))


def test_lopsided_columns_are_seen_as_normal_and_come_back_lopsided() -> None:
    rng = torch.Generator().manual_seed(0)
    turnover = (torch.randn(N, 1, 1, generator=rng) + 0.7 * torch.randn(N, STEPS, 1, generator=rng)).exp()
    representation = prepared(turnover)
    view = representation(turnover, None)
    assert abs(float(view.real.pow(3).mean())) < 0.2
    torch.testing.assert_close(representation.values(view.real, view.level), turnover, atol=1e-3, rtol=1e-3)
    drawn = representation.levelled(torch.randn(view.real.shape, generator=rng), view.level, view.alive)
    made = representation.values(drawn, view.level)
    assert float((made < turnover.amin(1, keepdim=True)).float().mean()) < 0.1
    torch.testing.assert_close(made.mean(1), turnover.mean(1), atol=0.05, rtol=0.05)
    torch.testing.assert_close(made.std(1), turnover.std(1), atol=0.05, rtol=0.05)


def test_an_error_is_that_of_curves_and_a_gap_asks_for_nothing() -> None:
    x = columns()
    x[..., NOISE] = x[..., NOISE].exp().pow(4)
    representation = prepared(x)
    assert bool(representation.marginals.tails.ne(1).any())
    whole = representation(x, None)
    gappy = x.clone()
    gappy[:, 3], gappy[:, 4, WALK] = torch.nan, torch.nan
    view = representation(gappy, None)
    parts = representation.parts(torch.randn(whole.real.shape), view.level)
    torch.testing.assert_close(
        representation.errors(whole, parts), whole.real - parts.real, atol=1e-2, rtol=1e-3, equal_nan=False
    )
    errors = representation.errors(view, parts)
    torch.testing.assert_close(errors[:, 3], torch.zeros(N, 3), atol=1e-3, rtol=0)
    of_walk = representation.whitening.unrotated(
        (representation.marginals.restore(parts.real + errors) - representation.marginals.restore(parts.real))
        * representation._mean_and_scale(view.level)[1]
    )[:, 4, WALK]
    torch.testing.assert_close(of_walk, torch.zeros(N), atol=1e-2, rtol=0)
