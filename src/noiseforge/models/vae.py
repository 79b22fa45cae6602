"""The variational autoencoder (Kingma and Welling 2014), and its importance-weighted bound (Burda et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from noiseforge.data.spec import Batch, Dataset, Spec
from noiseforge.errors import UserError
from noiseforge.models.latent import Code, EncodingModel
from noiseforge.models.observation import Observation
from noiseforge.models.player import Moment, Player
from noiseforge.networks.build import build_decoder, build_encoder
from noiseforge.objectives.likelihood import binarised
from noiseforge.objectives.variational import (
    doubly_reparameterised,
    free_bits,
    importance_bound,
    kl_normal,
    normal_log_density,
    normalised_weights,
    reparameterised,
    standard_normal_log_density,
)
from noiseforge.recipes.schedule import value_at
from noiseforge.recipes.schema import CodingSettings, VAESettings

PREPARED = 10_000
"""Training examples whose mean a decoder starts from."""


class Autoencoder(EncodingModel):
    """An encoder, a decoder and the likelihood between them; how they are trained is for subclasses."""

    def __init__(self, settings: CodingSettings, spec: Spec, rng: torch.Generator):
        super().__init__(settings.latent, conditional=settings.conditional, spec=spec)
        self.observation = Observation(settings.likelihood, spec)
        self.encoder = build_encoder(settings, spec, rng)
        self.decoder = build_decoder(settings, spec, self.observation.outputs, rng)

    @torch.no_grad()
    def prepare(self, data: Dataset) -> None:
        """Starts the decoder at the mean of the examples: from 0, the code is given up before it is of use."""
        some = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:PREPARED]
        x = data.batch(some).x
        chosen = self.observation.settings
        if chosen.kind == "bernoulli" and chosen.binarise == "none" and not bool((x.abs() == 1).all()):
            raise UserError(
                f"likelihood.binarise=none takes pixels that are on or off, and {data.spec.source} has others: "
                "set model.likelihood.binarise=dynamic"
            )
        raw, bias = self.observation.raw(x.mean(0)), self.decoder.output.bias
        assert bias is not None
        bias.copy_(raw.flatten() if bias.numel() == raw.numel() else raw.flatten(1).mean(1))

    def render(self, z: Tensor, y: Tensor | None) -> Tensor:
        return self.observation.mean(self.decoder(z, y))

    @property
    def binarises(self) -> bool:
        """Whether the likelihood is of pixels that are drawn, or cut, to two values."""
        return self.observation.settings.binarise != "none"

    def target(self, x: Tensor, thresholds: Tensor) -> Tensor:
        """What the likelihood is of: x itself, or its binarisation in {-1, 1}.

        Args:
            x: (N, *shape) in model units.
            thresholds: like x, uniform in [-1, 1); dynamic binarisation compares with them.
        """
        binarise = self.observation.settings.binarise
        if binarise == "none":
            return x
        return binarised(x, thresholds if binarise == "dynamic" else torch.zeros_like(x))

    def drawn_target(self, x: Tensor, moment: Moment) -> Tensor:
        """`target` with the thresholds of a training."""
        if self.observation.settings.binarise != "dynamic":
            return self.target(x, x)
        return self.target(x, moment.noise.uniform(len(x), x[0].numel()).view(x.shape))


class VAE(Autoencoder):
    """One player, who raises a bound on log p(x)."""

    def __init__(self, settings: VAESettings, spec: Spec, rng: torch.Generator):
        super().__init__(settings, spec, rng)
        self.settings = settings

    def players(self) -> list[Player]:
        """The encoder and the decoder as one."""
        return [Player("autoencoder", self, self._loss, self.settings.optimiser, averaged=True)]

    def _loss(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        s = self.settings
        y, target = self.condition(batch.y), self.drawn_target(batch.x, moment)
        code = self.code(target, y)
        noise = moment.noise.normal(len(target), s.importance_samples * self.width)
        if s.importance_samples == 1 and s.gradient == "standard":
            return self._evidence_lower_bound(target, y, code, noise, moment)
        noise = noise.view(len(target), s.importance_samples, self.width).transpose(0, 1)
        return self._importance_weighted(target, y, code, noise, moment)

    def _evidence_lower_bound(
        self, target: Tensor, y: Tensor | None, code: Code, noise: Tensor, moment: Moment
    ) -> dict[str, Tensor]:
        """Minus the bound in its two terms, nats an example, the KL in closed form."""
        s = self.settings
        log_likelihood = self.observation.log_prob(self.decoder(reparameterised(*code, noise), y), target)
        kl, beta = kl_normal(*code), value_at(s.beta, moment.images)
        plain = kl.sum() / len(kl)
        regulariser = free_bits(kl, s.free_bits) if s.free_bits else plain
        terms = {"reconstruction": -log_likelihood.mean(), "kl": regulariser if beta == 1 else beta * regulariser}
        if regulariser is not plain or beta != 1:  # else it is minus the sum of the terms
            moment.note("bound", -(terms["reconstruction"] + plain))
        return terms

    def _importance_weighted(
        self, target: Tensor, y: Tensor | None, code: Code, noise: Tensor, moment: Moment
    ) -> dict[str, Tensor]:
        """Minus the bound of k samples, or what has the gradient that `gradient` asks for."""
        gradient = self.settings.gradient
        z = reparameterised(*code, noise)
        density = code if gradient == "standard" else Code(code.mean.detach(), code.log_variance.detach())
        if gradient != "doubly":
            bound = importance_bound(self._log_weights(z, density, target, y)).mean()
            return {"bound": -bound}
        with torch.no_grad():
            weights = normalised_weights(self._log_weights(z, density, target, y))
        log_weights = self._log_weights(doubly_reparameterised(z, weights), density, target, y)
        moment.note("bound", importance_bound(log_weights.detach()).mean())
        return {"weighted": -(weights * log_weights).sum(0).mean()}

    def _log_weights(self, z: Tensor, code: Code, target: Tensor, y: Tensor | None) -> Tensor:
        """log p(x|z) + log p(z) - log q(z|x), (k, N), of z (k, N, latent)."""
        k, n = z.shape[:2]
        raw = self.decoder(z.flatten(0, 1), None if y is None else y.repeat(k))
        repeated = target.expand(k, *target.shape).flatten(0, 1)
        log_likelihood = self.observation.log_prob(raw, repeated).view(k, n)
        return log_likelihood + (standard_normal_log_density(z) - normal_log_density(z, *code)).sum(2)

    # -- what the evaluation asks -----------------------------------------------------------------------------

    @property
    def discrete(self) -> bool:
        """Whether log p(x|z) is a probability of grey levels, so that bits per dimension mean something."""
        return self.observation.settings.kind == "logistic"

    def log_weights(self, target: Tensor, y: Tensor | None, noise: Tensor) -> Tensor:
        """Of `target` (N, *shape): the logarithms (k, N) of the weights whose mean estimates p(x).

        Args:
            target: as the method `target` gives it, on the model's device.
            y: (N,) labels of a conditional model, else None.
            noise: (k, N, latent) draws of N(0, 1).
        """
        code = self.code(target, y)
        return self._log_weights(reparameterised(*code, noise), code, target, y)

    def elbo_terms(self, target: Tensor, y: Tensor | None, noise: Tensor) -> dict[str, Tensor]:
        """log p(x|z) at one draw, `reconstruction` (N,), and `kl` (N, latent), with noise (1, N, latent)."""
        code = self.code(target, y)
        raw = self.decoder(reparameterised(*code, noise[0]), y)
        return {"reconstruction": self.observation.log_prob(raw, target), "kl": kl_normal(*code)}
