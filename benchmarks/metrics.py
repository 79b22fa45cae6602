"""FID and KID against plain implementations on the same features.

    python -m benchmarks.metrics [--rounds 3]

FID's plain way is the common one: np.cov of both, then scipy.linalg.sqrtm of their product. KID's is the kernel matrix
in one piece. Features are 10,000 x 2,048 (FID) and 5,000 x 2,048 (KID), rectified Gaussians with correlated dimensions.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from scipy.linalg import sqrtm

from benchmarks.measure import interleave, ratio, save
from noiseforge.evaluation.distances import fid, kid

N, D = 10_000, 2_048


def features(shift: float, seed: int) -> torch.Tensor:
    """(N, D) float64, as a network's last hidden layer may be."""
    draws = torch.Generator().manual_seed(seed)
    mixing = torch.randn(D, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / D**0.5
    return ((torch.randn(N, D, generator=draws, dtype=torch.float64) + shift) @ mixing).relu()


def plain_fid(real: np.ndarray, fake: np.ndarray) -> float:
    """The common implementation."""
    covariances = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    difference = real.mean(0) - fake.mean(0)
    root = sqrtm(covariances[0] @ covariances[1]).real
    return float(difference @ difference + np.trace(covariances[0] + covariances[1] - 2 * root))


def plain_kid(real: np.ndarray, fake: np.ndarray) -> float:
    """The unbiased estimator, three kernel matrices in one piece."""

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1) ** 3

    n = len(real)
    within = [(k.sum() - np.trace(k)) / (n * (n - 1)) for k in (kernel(real, real), kernel(fake, fake))]
    return float(sum(within) - 2 * kernel(real, fake).mean())


def main() -> None:
    """Measures both and keeps the outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    real, fake = features(0.0, 1), features(0.05, 2)
    small = real[:5000], fake[:5000]
    values = {
        "fid": [fid(real, fake), plain_fid(real.numpy(), fake.numpy())],
        "kid": [
            kid(*small, generator=torch.Generator().manual_seed(0)).value,
            plain_kid(small[0].numpy(), small[1].numpy()),
        ],
    }
    seconds = interleave(
        {
            "fid ours": lambda: fid(real, fake),
            "fid plain": lambda: plain_fid(real.numpy(), fake.numpy()),
            "kid ours": lambda: kid(*small, generator=torch.Generator().manual_seed(0)),
            "kid plain": lambda: plain_kid(small[0].numpy(), small[1].numpy()),
        },
        rounds=rounds,
        warm_up=0,
    )
    outcome: dict[str, object] = {
        name: {
            "values": values[name],
            "seconds": {arm: round(sorted(seconds[f"{name} {arm}"])[rounds // 2], 2) for arm in ("ours", "plain")},
            "ours_over_plain": round(ratio(seconds, f"{name} ours", f"{name} plain"), 3),
        }
        for name in ("fid", "kid")
    }
    save("metrics", f"python -m benchmarks.metrics --rounds {rounds}", outcome)
    for name, figures in outcome.items():
        print(name, figures)


if __name__ == "__main__":
    main()
