"""What fixed random convolutions see in series: features that no training changes, and a classifier on top of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv1d

from noiseforge.data.split import seeded
from noiseforge.evaluation.sequence_view import Filled, pooled, within

SIZE = 9
"""Steps that a kernel sees at dilation 1."""
KERNELS = 64
"""For each dilation."""
MOST_CHANNELS = 4
"""Features that one kernel sees."""
MOST_STEPS = 256
"""Steps beyond which series are averaged over stretches of time."""
CHUNK = 512
PENALTIES = torch.logspace(-3, 3, 13).tolist()
"""Among which the classifier chooses."""


class Kernels:
    """Random convolutions of series (Dempster et al. 2020, "ROCKET"), the same for the same number of features.

    Each gives the share of steps at which it is above its bias, and its greatest value. Features are first brought to
    mean 0 and deviation 1 by those of the series that it was made for.
    """

    def __init__(self, series: Filled) -> None:
        known = series.x[within(series.length, series.x.shape[1])]
        self.mean, self.scale = known.mean(0), known.std(0, correction=0).clamp(min=1e-3)
        chance, features = seeded(0, "kernels of series"), series.x.shape[2]
        steps = pooled(series, MOST_STEPS).x.shape[1]
        self.groups: list[Group] = []
        dilation = 1
        while dilation == 1 or (SIZE - 1) * dilation < steps:
            weight = torch.randn(KERNELS, features, SIZE, generator=chance)
            weight -= weight.mean(2, keepdim=True)
            seen = torch.rand(KERNELS, features, generator=chance).argsort(1) < min(MOST_CHANNELS, features)
            self.groups.append(Group(weight * seen[..., None], torch.rand(KERNELS, generator=chance) * 2 - 1, dilation))
            dilation *= 2

    @torch.no_grad()
    def __call__(self, series: Filled) -> Tensor:
        """(N, F) of series (N, T, D)."""
        inside = within(series.length, series.x.shape[1])[..., None]
        scaled = pooled(series._replace(x=(series.x - self.mean) / self.scale * inside), MOST_STEPS)
        parts = zip(scaled.x.split(CHUNK), scaled.length.split(CHUNK), strict=True)
        return torch.cat([self._features(x.transpose(1, 2), length) for x, length in parts])

    def _features(self, x: Tensor, length: Tensor) -> Tensor:
        inside = within(length, x.shape[2])[:, None]
        found = []
        for weight, bias, dilation in self.groups:
            answer = conv1d(x, weight, bias, padding="same", dilation=dilation)
            found.append(((answer > 0) & inside).sum(2) / length[:, None])
            found.append(answer.masked_fill(~inside, -torch.inf).amax(2))
        return torch.cat(found, 1)


class Group(NamedTuple):
    """Kernels of one dilation: weights (K, D, 9), biases (K,)."""

    weight: Tensor
    bias: Tensor
    dilation: int


def classified(train: Filled, labels: Tensor, test: Filled) -> Tensor:
    """The labels (M,) that a linear classifier on random kernels, trained on `train`, gives to `test`.

    Args:
        train: what it learns from, with labels (N,) int64 of at least two kinds.
        labels: of those.
        test: what it labels.
    """
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kernels = Kernels(train)
    classifier = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=PENALTIES))
    classifier.fit(kernels(train).numpy(), labels.numpy())
    return torch.from_numpy(classifier.predict(kernels(test).numpy()))
