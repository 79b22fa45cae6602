"""p(x|z): how the numbers of a decoder become a distribution over examples."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from noiseforge.data.spec import Spec
from noiseforge.errors import UserError
from noiseforge.objectives import likelihood
from noiseforge.recipes.schema import LikelihoodSettings


class Observation(nn.Module):
    """The likelihood of a variational model. The decoder gives `outputs` numbers for each value of an example.

    A scale that is shared by all values is a parameter of this module; a learned one comes from the decoder.
    """

    def __init__(self, settings: LikelihoodSettings, spec: Spec):
        super().__init__()
        if settings.kind != "gaussian" and spec.value_range != (-1.0, 1.0):
            raise UserError(
                f"likelihood.kind={settings.kind} is of values with two ends, and {spec.source} has none: take gaussian"
            )
        self.settings = settings
        self.outputs = 2 if settings.scale == "learned" else 1
        start = torch.tensor(math.log(settings.sigma))
        if settings.kind != "bernoulli" and settings.scale == "shared":
            self.log_scale = nn.Parameter(start)
        else:
            self.register_buffer("log_scale", start, persistent=False)

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) in nats, (N,), of (N, *shape) from what the decoder gave, (N, outputs·C, ...)."""
        raw = raw.float()
        if self.settings.kind == "bernoulli":
            return likelihood.bernoulli(x, raw)
        mean, log_scale = self._mean_and_log_scale(raw)
        if self.settings.kind == "gaussian":
            return likelihood.gaussian(x, mean, log_scale)
        return likelihood.discretised_logistic(x, mean, log_scale, levels=self.settings.levels)

    def mean(self, raw: Tensor) -> Tensor:
        """The centre of p(x|z) in model units, (N, *shape)."""
        if self.settings.kind == "bernoulli":
            return 2 * torch.sigmoid(raw.float()) - 1
        return self._mean_and_log_scale(raw.float())[0]

    def raw(self, mean: Tensor) -> Tensor:
        """What a decoder must give, (outputs·C, ...), for `mean` (C, ...) in model units to be the centre."""
        if self.settings.kind == "bernoulli":
            return torch.logit((mean + 1) / 2, eps=RAREST)
        return torch.cat([mean, *[torch.zeros_like(mean)] * (self.outputs - 1)])

    def _mean_and_log_scale(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        if self.outputs == 1:
            return raw, self.log_scale.clamp(*LOG_SCALES)
        mean, log_scale = raw.chunk(2, dim=1)
        return mean, (self.log_scale + log_scale).clamp(*LOG_SCALES)


RAREST = 1e-3
"""Share of examples below which a pixel that is on, or off, counts as no rarer (the code of Burda et al. 2016)."""
LOG_SCALES = (-7.0, 7.0)
"""Bounds of a log scale. A density has no largest value: without a bound, one pixel that never changes ends in NaN."""
