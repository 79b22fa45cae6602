"""The adversarial autoencoder: a game on the codes takes the place of the KL term. Makhzani et al. 2015."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noiseforge.data.spec import Batch, Spec
from noiseforge.models.latent import Code
from noiseforge.models.player import Moment, Player
from noiseforge.models.vae import Autoencoder
from noiseforge.networks.build import build_code_discriminator
from noiseforge.objectives.adversarial import LOSSES
from noiseforge.recipes.schema import AAESettings

CERTAIN = -30.0
"""Log-variance of a code that is a point: the encoder is deterministic, as in the paper's experiments."""


class AAE(Autoencoder):
    """Three players: who reconstructs, who tells codes from draws of the prior, and the encoder that deceives it."""

    def __init__(self, settings: AAESettings, spec: Spec, rng: torch.Generator):
        super().__init__(settings, spec, rng)
        self.settings = settings
        self.discriminator = build_code_discriminator(settings.discriminator, self.width, self.classes, rng)
        self._game = LOSSES["nonsaturating"]

    def players(self) -> list[Player]:
        """The autoencoder, the discriminator of codes, and the encoder against it."""
        s = self.settings
        reconstructs = nn.ModuleList([self.encoder, self.decoder, self.observation])
        return [
            Player("autoencoder", reconstructs, self._reconstruction_loss, s.optimiser, averaged=True),
            Player("discriminator", self.discriminator, self._discriminator_loss, s.discriminator),
            Player("encoder", self.encoder, self._encoder_loss, s.regulariser),
        ]

    def code(self, x: Tensor, y: Tensor | None) -> Code:
        mean = super().code(x, y).mean
        return Code(mean, torch.full_like(mean, CERTAIN))

    def _reconstruction_loss(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        y, target = self.condition(batch.y), self.drawn_target(batch.x, moment)
        raw = self.decoder(self.code(target, y).mean, y)
        return {"reconstruction": -self.observation.log_prob(raw, target).mean()}

    def _discriminator_loss(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        y = self.condition(batch.y)
        with torch.no_grad():
            codes = self._codes(batch, moment)
        prior = moment.noise.normal(len(codes), self.width)
        real, fake = self.discriminator(prior, y), self.discriminator(codes, y)
        moment.note("real_logit", real.mean())
        moment.note("fake_logit", fake.mean())
        return {"adversarial": self._game.discriminator(real, fake).mean()}

    def _encoder_loss(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        logits = self.discriminator(self._codes(batch, moment), self.condition(batch.y))
        return {"adversarial": self._game.generator(None, logits).mean()}

    def _codes(self, batch: Batch, moment: Moment) -> Tensor:
        return self.code(self.drawn_target(batch.x, moment), self.condition(batch.y)).mean
