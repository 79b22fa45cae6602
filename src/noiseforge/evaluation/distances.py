"""Distances between two sets of features: the Fréchet distance (FID), its limit, and the kernel distance (KID)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noiseforge.errors import UserError
from noiseforge.files import replacing

KID_BLOCK = 5_000
"""Examples up to which KID is computed from all pairs; above, from subsets."""
KID_SUBSETS = 100
KID_SUBSET = 1_000
ROUNDING = 1e-9
"""Relative error of a Fréchet distance that rounding may cause; beyond it, the slow way is taken."""

Matrix = NDArray[np.float64]


class Estimate(NamedTuple):
    """A number that was estimated from samples, and its standard error."""

    value: float
    error: float


def fid(real: Tensor, fake: Tensor) -> float:
    """Fréchet distance of the Gaussians that fit two sets of features, |mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)).

    The trace of (S1 S2)^(1/2) is the sum of the singular values of F1^T F2, for any F with F F^T = S. The centred
    features are such an F where there are fewer than d of them, and a Cholesky factor otherwise, so that nothing
    larger than d x d is decomposed. The distance is biased upwards in N: compare it at equal N only.

    Args:
        real: (n, d) features.
        fake: (m, d) features.

    Raises:
        UserError: features that are not finite, fewer than two rows, or different d.

    Source: Dowson & Landau 1982; Heusel et al. 2017, eq. 6.

    >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> fid(x, x), round(fid(x, x + 2.0), 9)
    (0.0, 8.0)
    """
    _check(real, fake)
    return _frechet(*_moments(real), *_moments(fake))


def fid_from_statistics(mu1: Tensor, sigma1: Tensor, mu2: Tensor, sigma2: Tensor) -> float:
    """`fid` from means (d,) and covariances (d, d)."""
    _check(sigma1, sigma2)
    means = (mu.detach().cpu().double().numpy() for mu in (mu1, mu2))
    roots = (_root(sigma.detach().cpu().double().numpy()) for sigma in (sigma1, sigma2))
    first, second = zip(means, roots, strict=True)
    return _frechet(*first, *second)


def fid_infinity(real: Tensor, fake: Tensor, *, generator: torch.Generator, sizes: int = 15) -> Estimate:
    """FID extrapolated to infinitely many examples: the intercept of a line in 1/N through FID at several N.

    Sizes are even steps from a third of the examples to all; both sets are subsampled, which removes the bias of both.

    Source: Chong & Forsyth 2020, section 3.
    """
    _check(real, fake)
    n = min(len(real), len(fake))
    counts = torch.linspace(max(n / 3, 2), n, sizes).round().long()
    scores = [
        fid(*(x[torch.randperm(len(x), generator=generator)[:count]] for x in (real, fake)))
        for count in counts.tolist()
    ]
    return _intercept(1 / counts.double(), torch.tensor(scores, dtype=torch.float64))


def kid(real: Tensor, fake: Tensor, *, generator: torch.Generator) -> Estimate:
    """Kernel distance: the unbiased squared maximum mean discrepancy under the kernel (x.y / d + 1)^3.

    From all pairs up to 5,000 examples, above that the mean of 100 seeded subsets of 1,000. Unbiased, so that it
    may be negative and may be compared at different N.

    Returns:
        The estimate and its standard error: by the variance of each example's part in the statistic (conservative
        where the two laws are equal), or by the spread of the subsets.

    Source: Bińkowski et al. 2018, section 4.
    """
    _check(real, fake)
    real, fake = real.double(), fake.double()
    n = min(len(real), len(fake))
    if max(len(real), len(fake)) <= KID_BLOCK:
        return _mmd(real, fake)
    size = min(KID_SUBSET, n)
    scores = torch.tensor(
        [
            _mmd(*(x[torch.randperm(len(x), generator=generator)[:size]] for x in (real, fake))).value
            for _ in range(KID_SUBSETS)
        ],
        dtype=torch.float64,
    )
    return Estimate(float(scores.mean()), float(scores.std()) * (size / n) ** 0.5)


@dataclass(frozen=True)
class Statistics:
    """Mean and covariance of the features of a data set, enough for a Fréchet distance, kept in an .npz file."""

    mu: Tensor
    sigma: Tensor
    n: int
    feature_id: str
    """Identity of the extractor; only equal ones can be compared."""
    data_id: str
    seed: int

    @classmethod
    def of(cls, features: Tensor, *, feature_id: str, data_id: str, seed: int) -> Statistics:
        """The statistics of features (n, d)."""
        _check(features, features)
        x = features.double()
        return cls(x.mean(0), torch.cov(x.T), len(x), feature_id, data_id, seed)

    def fid(self, other: Statistics) -> float:
        """Fréchet distance to another's.

        Raises:
            UserError: they come from different extractors.
        """
        if self.feature_id != other.feature_id:
            raise UserError(
                f"statistics of different features cannot be compared: {self.feature_id!r} and {other.feature_id!r}; "
                "compute both with the same extractor"
            )
        return fid_from_statistics(self.mu, self.sigma, other.mu, other.sigma)

    def save(self, path: Path) -> None:
        """Writes mu, sigma, n, feature_id, data_id and seed to an .npz file, whole or not at all."""
        facts = {"n": self.n, "feature_id": self.feature_id, "data_id": self.data_id, "seed": self.seed}
        arrays: dict[str, Any] = {name: np.asarray(fact) for name, fact in facts.items()}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, mu=self.mu.numpy(), sigma=self.sigma.numpy(), **arrays)

    @classmethod
    def load(cls, path: Path) -> Statistics:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is not there, or is no such file.
        """
        import zipfile

        try:
            with np.load(path) as stored:
                mu, sigma = (torch.from_numpy(stored[name]).double() for name in ("mu", "sigma"))
                texts = str(stored["feature_id"]), str(stored["data_id"])
                return cls(mu, sigma, int(stored["n"]), *texts, int(stored["seed"]))
        except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
            raise UserError(f"expected feature statistics (.npz) at {path}, got: {error}") from error


def _check(a: Tensor, b: Tensor) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise UserError(f"expected two sets of features (N, d), got {tuple(a.shape)} and {tuple(b.shape)}")
    if min(len(a), len(b)) < 2:
        raise UserError(f"a distance needs at least 2 real and 2 generated examples, got {len(a)} and {len(b)}")
    for x in (a, b):
        bad = int((~torch.isfinite(x)).any(1).sum())
        if bad:
            raise UserError(f"{bad} of {len(x)} feature vectors are NaN or infinite; look at the samples")


def _moments(features: Tensor) -> tuple[Matrix, Matrix]:
    """Mean (d,), and a factor F (d, r) of the covariance, F F^T = S, with r = min(n, d)."""
    x = features.detach().cpu().double().numpy()
    mu = x.mean(0)
    centred = x - mu
    n, d = x.shape
    if n < d:
        return mu, centred.T / (n - 1) ** 0.5
    return mu, _root(centred.T @ centred / (n - 1))


def _root(sigma: Matrix) -> Matrix:
    """F with F F^T = sigma: Cholesky's, or by eigenvalues where sigma is singular."""
    try:
        return np.linalg.cholesky(sigma).astype(np.float64, copy=False)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(sigma)
        return vectors * np.sqrt(values.clip(min=0))


def _frechet(mu1: Matrix, factor1: Matrix, mu2: Matrix, factor2: Matrix) -> float:
    if np.array_equal(mu1, mu2) and np.array_equal(factor1, factor2):
        return 0.0  # exactly, where rounding would leave some 1e-13
    apart = float(((mu1 - mu2) ** 2).sum() + (factor1**2).sum() + (factor2**2).sum())
    overlap = factor1.T @ factor2
    # The eigenvalues of the square cost a quarter of the singular values, but small ones are lost in rounding.
    squares = np.linalg.eigvalsh(overlap @ overlap.T if len(overlap) < overlap.shape[1] else overlap.T @ overlap)
    singular = np.sqrt(squares.clip(min=np.finfo(float).tiny))
    distance = apart - 2 * float(singular.sum())
    if np.finfo(float).eps * singular[-1] ** 2 * (1 / singular).sum() > ROUNDING * distance:
        distance = apart - 2 * float(np.linalg.svd(overlap, compute_uv=False).sum())
    return max(distance, 0.0)


def _intercept(x: Tensor, y: Tensor) -> Estimate:
    """Where the least-squares line through (x, y) meets x = 0, and the standard error of that."""
    spread = (x - x.mean()).square().sum()
    if not spread > 0:
        return Estimate(float(y.mean()), float(y.std()))
    slope = ((x - x.mean()) * (y - y.mean())).sum() / spread
    value = y.mean() - slope * x.mean()
    residual = (y - value - slope * x).square().sum() / max(len(x) - 2, 1)
    return Estimate(float(value), float((residual * (1 / len(x) + x.mean().square() / spread)).sqrt()))


def _mmd(x: Tensor, y: Tensor) -> Estimate:
    """The U-statistic over all pairs."""
    m, n = len(x), len(y)
    within_x = (_kernel(x, x).sum(1) - _kernel_diagonal(x)) / (m - 1)
    within_y = (_kernel(y, y).sum(1) - _kernel_diagonal(y)) / (n - 1)
    across = _kernel(x, y)
    value = within_x.mean() + within_y.mean() - 2 * across.mean()
    parts = (within_x - across.mean(1)).var() / m + (within_y - across.mean(0)).var() / n
    return Estimate(float(value), float(2 * parts.sqrt()))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T).div_(x.shape[1]).add_(1).pow_(3)


def _kernel_diagonal(x: Tensor) -> Tensor:
    return (x.square().sum(1) / x.shape[1] + 1).pow(3)
