"""Distances against closed forms and against torch-fidelity's values."""

import json
import runpy
from pathlib import Path

import pytest
import torch

from noiseforge.errors import UserError
from noiseforge.evaluation.classes import inception_score
from noiseforge.evaluation.coverage import precision_recall_density_coverage
from noiseforge.evaluation.distances import Statistics, fid, fid_from_statistics, fid_infinity, kid

MADE = runpy.run_path(str(Path(__file__).with_name("make_torch_fidelity_values.py")))
CASES, VALUES, features = MADE["CASES"], MADE["VALUES"], MADE["features"]


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("case", CASES)
def test_the_values_of_torch_fidelity(case: str, rng: torch.Generator) -> None:
    expected = json.loads(VALUES.read_text())["values"][case]
    real, fake = features(*CASES[case])
    assert fid(real, fake) == pytest.approx(expected["frechet_inception_distance"], rel=1e-6)
    assert kid(real, fake, generator=rng).value == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-6)
    covered = precision_recall_density_coverage(real, fake, k=3)
    for name in ("precision", "recall"):
        assert covered[name] == pytest.approx(expected[name], rel=1e-6)
    mean, deviation = inception_score((20 * fake[:, :10]).softmax(1), splits=5)
    assert mean == pytest.approx(expected["inception_score_mean"], rel=1e-6)
    assert deviation == pytest.approx(expected["inception_score_std"], rel=1e-6)


def test_frechet_distance_of_two_gaussians_in_closed_form() -> None:
    # Covariances that commute: the distance is |mu1 - mu2|^2 + sum (sqrt(a) - sqrt(b))^2 over their eigenvalues.
    basis, _ = torch.linalg.qr(features(8, 8)[0] + torch.eye(8))
    a, b = torch.arange(1.0, 9.0).double(), torch.arange(8.0, 0.0, -1.0).double()
    b[0] = 0.0  # singular
    sigma1, sigma2 = (basis @ x.diag() @ basis.T for x in (a, b))
    mu = torch.linspace(-1, 1, 8).double()
    expected = mu.square().sum() + (a.sqrt() - b.sqrt()).square().sum()
    assert fid_from_statistics(mu, sigma1, torch.zeros_like(mu), sigma2) == pytest.approx(float(expected), rel=1e-7)


@pytest.mark.parametrize(("n", "d"), [(50, 8), (8, 50)])
def test_frechet_distance_to_itself_is_exactly_0_and_symmetric(n: int, d: int) -> None:
    real, fake = features(n, d)
    assert fid(real, real) == 0.0
    assert fid(real, real.flip(0)) == pytest.approx(0.0, abs=1e-10)
    assert fid(real, fake) == pytest.approx(fid(fake, real), rel=1e-9)


def test_kernel_distance_is_unbiased_and_its_error_honest(rng: torch.Generator) -> None:
    draws = [kid(*torch.randn(2, 50, 4, generator=rng).double(), generator=rng) for _ in range(200)]
    values, errors = (torch.tensor(x) for x in zip(*draws, strict=True))
    assert float(values.mean()) == pytest.approx(0.0, abs=4 * float(values.std()) / 200**0.5)
    assert 0.8 < float(errors.square().mean().sqrt() / values.std()) < 2.0


def test_kernel_distance_by_subsets_agrees_with_all_pairs(
    rng: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fake = features(600, 48)
    full = kid(real, fake, generator=rng)
    monkeypatch.setattr("noiseforge.evaluation.distances.KID_BLOCK", 500)
    monkeypatch.setattr("noiseforge.evaluation.distances.KID_SUBSET", 200)
    subsets = kid(real, fake, generator=rng)
    assert subsets.value == pytest.approx(full.value, abs=4 * subsets.error)
    assert full.value > 4 * full.error  # they differ by their shift


def test_extrapolation_removes_the_bias_in_n(rng: torch.Generator) -> None:
    real, fake = torch.randn(2, 3000, 16, generator=rng).double()
    limit = fid_infinity(real, fake, generator=rng)
    assert abs(limit.value) < fid(real, fake) / 2
    assert 0 < limit.error < fid(real, fake)


def test_statistics_are_kept_and_only_compared_with_their_own_kind(tmp_path: Path) -> None:
    real, fake = features(60, 8)
    ours = Statistics.of(fake, feature_id="judge-1", data_id="digits", seed=3)
    ours.save(tmp_path / "fake.npz")
    kept = Statistics.load(tmp_path / "fake.npz")
    assert (kept.n, kept.feature_id, kept.data_id, kept.seed) == (60, "judge-1", "digits", 3)
    reference = Statistics.of(real, feature_id="judge-1", data_id="digits", seed=3)
    assert kept.fid(reference) == pytest.approx(fid(real, fake), rel=1e-9)
    with pytest.raises(UserError, match="different features"):
        kept.fid(Statistics.of(real, feature_id="judge-2", data_id="digits", seed=3))
    (tmp_path / "fake.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UserError, match=r"expected feature statistics"):
        Statistics.load(tmp_path / "fake.npz")


@pytest.mark.parametrize(
    ("real", "message"),
    [
        (torch.full((4, 3), torch.nan), "4 of 4 feature vectors"),
        (torch.zeros(1, 3), "at least 2"),
        (torch.zeros(4, 2), r"\(4, 2\) and \(5, 3\)"),
    ],
)
def test_features_that_have_no_distance(real: torch.Tensor, message: str) -> None:
    with pytest.raises(UserError, match=message):
        fid(real, torch.zeros(5, 3))
