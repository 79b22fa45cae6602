"""Principal components as codes: as good as linear codes can be, of one scale, and the same by both ways to them."""

import pytest
import torch

from noiseforge.networks.sequence import principal
from noiseforge.networks.sequence.principal import SQUARED_NORM, PrincipalCode, code_size


def series(n: int = 400, numbers: int = 30) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    mixing = torch.randn(numbers, numbers, generator=rng) * 0.8 ** torch.arange(numbers)[:, None]
    return torch.randn(n, numbers, generator=rng) @ mixing + torch.randn(numbers, generator=rng)


def fitted(x: torch.Tensor, size: int) -> PrincipalCode:
    code = PrincipalCode(x.shape[1], size)
    code.fit(x)
    return code


def left_out(code: PrincipalCode, x: torch.Tensor) -> float:
    return float((code.restore(code(x)) - x).square().sum())


def test_what_is_left_out_is_what_the_smallest_singular_values_hold() -> None:
    x = series()
    sizes = torch.linalg.svdvals(x - x.mean(0))
    for size in (1, 7, 20):
        assert left_out(fitted(x, size), x) == pytest.approx(float(sizes[size:].square().sum()), rel=1e-3)
    torch.testing.assert_close(fitted(x, 30).restore(fitted(x, 30)(x)), x, atol=1e-4, rtol=0)


def test_codes_do_not_correlate_have_their_own_scales_and_one_squared_norm() -> None:
    x = series()
    code = fitted(x, 10)
    made = code(x)
    assert float(made.square().sum(1).mean()) == pytest.approx(SQUARED_NORM, rel=1e-4)
    torch.testing.assert_close(made.T.cov(correction=0), code.scales.square().diag(), atol=1e-2, rtol=0)
    assert bool((code.scales.diff() <= 0).all())
    sizes = torch.linalg.svdvals(x - x.mean(0))[:10]
    torch.testing.assert_close(code.scales / code.scales[0], sizes / sizes[0], atol=1e-4, rtol=0)


def test_channels_that_have_nothing_to_do_with_each_other_have_directions_of_their_own() -> None:
    rng = torch.Generator().manual_seed(0)
    wave = (torch.rand(4000, 1, 3, generator=rng) * 6 + torch.arange(8)[:, None] / 2).sin()
    x = torch.stack([wave[..., 0], wave[..., 1], wave[..., 0] - wave[..., 2]], 2).flatten(1)
    code = PrincipalCode(24, 6)
    code.fit(x, channels=3)
    power = code.directions.unflatten(0, (8, 3)).square().sum(0)
    apart = power[1] > 0.5
    assert int(apart.sum()) == 2
    assert float(power[1, ~apart].max() + power[::2, apart].max()) < 1e-20
    assert left_out(code, x) < 1.02 * left_out(fitted(x, 6), x)
    assert float(fitted(x, 6).directions.unflatten(0, (8, 3)).square().sum(0).amax(0).min()) < 0.9, "else nothing mixes"


def test_long_series_are_coded_without_their_covariance_and_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    x = series()
    exact = fitted(x, 8)
    monkeypatch.setattr(principal, "EXACT", 20)
    before = torch.random.get_rng_state()
    other = fitted(x, 8)
    assert torch.equal(torch.random.get_rng_state(), before), "the global random state stays as it is"
    assert left_out(other, x) == pytest.approx(left_out(exact, x), rel=0.01)
    torch.testing.assert_close(other.scales, exact.scales, rtol=0.02, atol=0)
    assert torch.equal(other(x), fitted(x, 8)(x))


@pytest.mark.parametrize("longest", [10, 2048])
def test_few_series_and_constant_ones_are_coded(monkeypatch: pytest.MonkeyPatch, longest: int) -> None:
    monkeypatch.setattr(principal, "EXACT", longest)
    few = series(n=3)
    code = fitted(few, 12)
    torch.testing.assert_close(code.restore(code(few)), few, atol=1e-4, rtol=0)
    same = series(n=1).expand(5, -1)
    code = fitted(same, 4)
    assert bool(code(same).isfinite().all()) and bool((code.scales.abs() < 1e-3).all())
    torch.testing.assert_close(code.restore(code(same)), same, atol=1e-4, rtol=0)


def test_what_no_series_varies_in_stays_nothing() -> None:
    flat = torch.cat([series()[:, :6], torch.ones(400, 4), series()[:, :1]], 1)
    code = fitted(flat, 11)
    assert bool((code.scales[6:] == 0).all()) and bool((code(flat)[:, 6:] == 0).all())


def test_a_code_is_no_larger_than_a_series_nor_its_directions_than_memory() -> None:
    assert code_size(512, 144) == 144
    assert code_size(512, 1536) == 512
    assert code_size(512, 600_000) == 55
    assert code_size(512, 10**9) == 1
