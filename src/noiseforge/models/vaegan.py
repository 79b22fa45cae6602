"""A GAN whose generator is also a decoder: an encoder joins the game. Larsen et al. 2016 (VAE/GAN)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from noiseforge.data.spec import Batch, Spec
from noiseforge.models.gan import GAN
from noiseforge.models.latent import EncodingModel
from noiseforge.models.player import Moment, Player
from noiseforge.networks.build import build_encoder
from noiseforge.objectives.variational import kl_normal, reparameterised
from noiseforge.recipes.schedule import value_at
from noiseforge.recipes.schema import VAEGANSettings


class VAEGAN(GAN, EncodingModel):
    """The players of a GAN, and an encoder.

    The distance between an example and its reconstruction is taken in the discriminator's features, so that it is
    not blurred as a distance of pixels is; encoder and generator both lower it.
    """

    settings: VAEGANSettings

    def __init__(self, settings: VAEGANSettings, spec: Spec, rng: torch.Generator):
        super().__init__(settings, spec, rng)
        self.encoder = build_encoder(settings, spec, rng)

    def players(self) -> list[Player]:
        """The discriminator, the generator, then the encoder."""
        return [
            *super().players(),
            Player("encoder", self.encoder, self._encoder_loss, self.settings.encoder, averaged=True),
        ]

    def _generator_loss(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        terms = super()._generator_loss(batch, moment)
        with torch.no_grad():
            z, _ = self._encoded(batch, moment)
        return {**terms, "reconstruction": self.settings.reconstruction * self._distance(batch, z, moment)}

    def _encoder_loss(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        z, kl = self._encoded(batch, moment)
        return {
            "reconstruction": self._distance(batch, z, moment),
            "kl": value_at(self.settings.beta, moment.images) * kl,
        }

    def _encoded(self, batch: Batch, moment: Moment) -> tuple[Tensor, Tensor]:
        """A draw of each example's code (N, latent), and the mean KL of the codes in nats."""
        code = self.code(batch.x, self.condition(batch.y))
        z = reparameterised(*code, moment.noise.normal(len(batch.x), self.width))
        return z, kl_normal(*code).sum(1).mean()

    def _distance(self, batch: Batch, z: Tensor, moment: Moment) -> Tensor:
        """Half the squared distance to the reconstruction, the features summed as a unit normal's density would."""
        rebuilt = self.generator(z, self.condition(batch.y))
        with parametrize.cached():
            with torch.no_grad():
                wanted = self.discriminator.features(self._presented(batch.x, moment)).float()
            found = self.discriminator.features(self._presented(rebuilt, moment)).float()
        return 0.5 * (found - wanted).square().sum(1).mean()
