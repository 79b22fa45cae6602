"""Sources that need no file of their own: digits, mixtures of Gaussians, and stacks of digits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.data.examples import Found, Memory
from noiseforge.data.idx import read_idx_folder
from noiseforge.data.image import found_images
from noiseforge.data.split import seeded
from noiseforge.errors import UserError

STACKED = "stacked-mnist:"

TRAIN_POINTS, TEST_POINTS = 100_000, 10_000
TRAIN_STACKS, TEST_STACKS = 128_000, 26_000


class Mixture(NamedTuple):
    """Equally likely Gaussians of one standard deviation, in source units."""

    means: Tensor
    """(K, D) float64."""
    sigma: float

    @property
    def scale(self) -> float:
        """The standard deviation of a coordinate, the same for each by the mixture's symmetry."""
        return math.sqrt(float(self.means.square().mean()) + self.sigma**2)


def mixture(source: str) -> Mixture | None:
    """The mixture that `ring` or `grid` draws from; None for any other source.

    Ring: 8 means on the unit circle, sigma 0.01. Grid: 25 means {-4, -2, 0, 2, 4}^2, sigma 0.05. Both as in
    Srivastava et al., "VEEGAN", 2017, and Lin et al., "PacGAN", 2018.

    >>> mixture("grid").means.shape
    torch.Size([25, 2])
    """
    if source == "ring":
        angles = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
        return Mixture(torch.stack([angles.cos(), angles.sin()], dim=1), 0.01)
    if source == "grid":
        steps = torch.arange(-4, 5, 2, dtype=torch.float64)
        return Mixture(torch.cartesian_prod(steps, steps), 0.05)
    return None


def read_mixture(drawn_from: Mixture, *, seed: int) -> Found:
    """100,000 training and 10,000 test points of a mixture; the label is the mode."""
    count = TRAIN_POINTS + TEST_POINTS
    generator = seeded(seed, "mixture")
    modes, coordinates = drawn_from.means.shape
    labels = torch.randint(modes, (count,), generator=generator)
    noise = torch.randn(count, coordinates, generator=generator, dtype=torch.float64)
    points = drawn_from.means[labels] + drawn_from.sigma * noise
    return Found(
        Memory(points.float()),
        torch.arange(count)[:, None],
        (coordinates,),
        modality="point",
        labels=labels,
        classes=tuple(str(mode) for mode in range(modes)),
        value_range=None,
        offset=0.0,
        scale=drawn_from.scale,
        train_count=TRAIN_POINTS,
    )


def read_digits(*, size: int | None, channels: int | None) -> Found:
    """scikit-learn's 1,797 embedded digits, 8 x 8, values 0 to 16 (UCI, Alpaydin and Kaynak, 1998)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return found_images(
        torch.from_numpy(digits.images).float()[:, None],
        bounds=(0.0, 16.0),
        size=size,
        channels=channels,
        labels=torch.from_numpy(digits.target).long(),
        classes=tuple(str(digit) for digit in range(10)),
        train_count=None,
    )


def read_stacked(folder: Path, *, size: int | None, channels: int | None, seed: int) -> Found:
    """Stacks of three random digits as channels: 1,000 modes, of which the label 100a + 10b + c is one.

    128,000 training stacks are drawn from the training digits, 26,000 test stacks from the test digits.
    Srivastava et al., "VEEGAN", 2017; index triples as in Kumar et al., "Maximum Entropy Generators for
    Energy-Based Models", 2019.

    Raises:
        UserError: the folder has no test set, or not the labels 0 to 9.
    """
    if channels == 1:
        raise UserError("stacked-mnist has one digit in each of 3 channels; leave channels out, or ask for 3")
    digits = read_idx_folder(folder, size=size, channels=1)
    if digits.labels is None or len(digits.classes) != 10 or digits.train_count is None:
        raise UserError(f"{STACKED}{folder} needs images and labels of ten classes, train and test")
    generator = seeded(seed, "stacks")
    train = torch.randint(digits.train_count, (TRAIN_STACKS, 3), generator=generator)
    test = torch.randint(digits.train_count, len(digits.rows), (TEST_STACKS, 3), generator=generator)
    rows = torch.cat([train, test])
    return digits._replace(
        rows=rows,
        shape=(3, *digits.shape[1:]),
        labels=digits.labels[rows] @ torch.tensor([100, 10, 1]),
        classes=tuple(f"{mode:03d}" for mode in range(1000)),
        train_count=TRAIN_STACKS,
    )
