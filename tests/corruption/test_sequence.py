"""Corruptions of sequences: exact where they promise it, NaN stays NaN, padding stays 0."""

import math

import pytest
import torch
from torch import Tensor

from noiseforge.corruption.compose import KINDS, Corruption, parse
from noiseforge.errors import UserError

LENGTHS = torch.tensor([200, 37, 3, 121])
TEXTS = ("gaussian:0.1", "snr:5", "drift:0.5", "spikes:0.1", "drop:0.2", "channels:0.4", "jitter:0.7", "quantise:8")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def of_sequences(text: str) -> Corruption:
    return parse(text, "sequence")


def series(*, gaps: bool = True) -> Tensor:
    """Four walks of three features far from 0, of which some values are missing."""
    x = torch.randn(4, 200, 3, generator=rng(1), dtype=torch.float64).cumsum(1) + torch.tensor([100.0, -7.0, 0.0])
    if gaps:
        x[:, 1:, :][torch.rand(4, 199, 3, generator=rng(2)) < 0.1] = torch.nan
    return x.masked_fill((torch.arange(200) >= LENGTHS[:, None])[:, :, None], 0)


def test_every_kind_is_tried_here() -> None:
    assert {text.split(":")[0] for text in TEXTS} == set(KINDS["sequence"])


@pytest.mark.parametrize("text", TEXTS)
def test_gaps_stay_gaps_padding_stays_0_and_the_generator_decides(text: str) -> None:
    x, corrupt = series(), of_sequences(text)
    y = corrupt(x, length=LENGTHS, generator=rng(3))
    after = torch.arange(200) >= LENGTHS[:, None]
    assert y.shape == x.shape and y[after].abs().max() == 0
    assert y[x.isnan()].isnan().all()
    if text.split(":")[0] not in ("drop", "channels"):
        assert not y[~x.isnan()].isnan().any()
    assert torch.equal(y.nan_to_num(9e9), corrupt(x, length=LENGTHS, generator=rng(3)).nan_to_num(9e9))
    assert not torch.equal(y.nan_to_num(9e9), x.nan_to_num(9e9))
    # What stands after the end, or in the other series, makes no difference.
    dirty = x.masked_fill(after[:, :, None], 1e3)
    torch.testing.assert_close(corrupt(dirty, length=LENGTHS, generator=rng(3)), y, equal_nan=True)


@pytest.mark.parametrize("decibels", [20.0, 5.0, 0.0, -10.0])
def test_the_ratio_is_exact_for_each_series_over_what_is_known(decibels: float) -> None:
    x = series()
    noise = of_sequences(f"snr:{decibels}")(x, length=LENGTHS, generator=rng()) - x
    for row, length in enumerate(LENGTHS.tolist()):
        own, there = x[row, :length], ~x[row, :length].isnan()
        about = (own - own.nanmean(0))[there]
        ratio = about.square().mean() / noise[row, :length][there].square().mean()
        assert 10 * math.log10(ratio) == pytest.approx(decibels, abs=0.01)


def test_a_series_without_change_has_no_signal_and_gets_no_noise() -> None:
    x = torch.full((2, 5, 2), 3.0)
    torch.testing.assert_close(of_sequences("snr:0")(x, generator=rng()), x)


def test_drift_has_its_deviation_at_the_last_true_step() -> None:
    x, lengths = torch.zeros(4000, 20, 1), torch.tensor([20, 5] * 2000)
    y = of_sequences("drift:0.5")(x, length=lengths, generator=rng())
    assert float(y[0::2, 19].std()) == pytest.approx(0.5, rel=0.04)
    assert float(y[1::2, 4].std()) == pytest.approx(0.5, rel=0.04)
    assert float(y[0::2, 4].std()) == pytest.approx(0.25, rel=0.04)


def test_spikes_hit_their_share_by_five_deviations() -> None:
    x = series(gaps=False)[:1]
    jumps = (of_sequences("spikes:0.1")(x, generator=rng()) - x)[0] / x[0].std(0, correction=0)
    hit = jumps.abs() > 1e-6
    assert float(hit.double().mean()) == pytest.approx(0.1, abs=0.03)
    assert set(jumps[hit].round(decimals=9).tolist()) == {5.0, -5.0}


def test_drop_takes_whole_steps_and_channels_whole_features_but_never_all() -> None:
    x = torch.zeros(500, 40, 3)
    lost = of_sequences("drop:0.3")(x, generator=rng()).isnan()
    assert torch.equal(lost.any(2), lost.all(2)) and float(lost.float().mean()) == pytest.approx(0.3, abs=0.01)
    lost = of_sequences("channels:0.3")(x, generator=rng()).isnan()
    assert torch.equal(lost.any(1), lost.all(1)) and not lost.all(2).any()
    assert float(lost[:, 0].float().mean()) == pytest.approx(0.3 - 0.3**3 / 3, abs=0.02)
    assert not of_sequences("channels:1")(x[:, :, :1], generator=rng()).isnan().any()


def test_jitter_reads_a_straight_line_elsewhere_within_its_ends() -> None:
    x = torch.arange(50.0)[None, :, None].expand(300, -1, 2).clone()
    y = of_sequences("jitter:0.5")(x, generator=rng())
    assert torch.equal(y[..., 0], y[..., 1])
    assert float((y - x)[:, 10:40].std()) == pytest.approx(0.5, rel=0.03)
    assert y.min() >= 0 and y.max() <= 49
    gap = torch.tensor([[[0.0], [math.nan], [4.0]]])
    assert of_sequences("jitter:0.3")(gap, generator=rng()).isnan().flatten().tolist() == [False, True, False]


def test_quantise_leaves_that_many_values() -> None:
    x = torch.linspace(-1, 3, 101).view(1, -1, 1)
    y = of_sequences("quantise:5")(x, generator=rng())
    torch.testing.assert_close(y.unique(), torch.tensor([-1.0, 0.0, 1.0, 2.0, 3.0]))
    assert float((y - x).abs().max()) <= 0.5 + 1e-5


def test_wrong_values_and_shapes_are_told() -> None:
    with pytest.raises(UserError, match="quantise needs levels"):
        of_sequences("quantise:1")
    with pytest.raises(UserError, match="unknown corruption 'blur'"):
        of_sequences("blur:1")
    with pytest.raises(ValueError, match=r"sequences need \(N, T, D\), got \(2, 3\)"):
        of_sequences("gaussian:1")(torch.zeros(2, 3), generator=rng())
    with pytest.raises(ValueError, match=r"lengths of sequences .* from 1 to 5"):
        of_sequences("gaussian:1")(torch.zeros(1, 5, 2), length=torch.tensor([6]), generator=rng())
