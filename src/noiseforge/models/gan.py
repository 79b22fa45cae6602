"""The adversarial family: a generator and a discriminator (Goodfellow et al., 2014), whatever their networks."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch.nn.utils import parametrize

from noiseforge.corruption import parse
from noiseforge.data.spec import Batch, Spec
from noiseforge.models.latent import LatentModel
from noiseforge.models.player import Moment, Player
from noiseforge.networks.blocks import pack
from noiseforge.networks.build import Discriminator, Generator, build_discriminator, build_generator
from noiseforge.objectives.adversarial import LOSSES, feature_matching
from noiseforge.objectives.penalties import clip_weights, gradient_norms_squared, gradient_penalty
from noiseforge.recipes.schedule import value_at
from noiseforge.recipes.schema import AdversarialSettings

log = logging.getLogger(__name__)


class GAN(LatentModel):
    """Two networks and their game. Labels come from the real batch, so that paired losses compare like with like.

    Args:
        settings: of the game and its networks.
        spec: what an example is.
        rng: draws the weights.
        players: a generator and a discriminator in place of those that the settings ask for.
    """

    def __init__(
        self,
        settings: AdversarialSettings,
        spec: Spec,
        rng: torch.Generator,
        *,
        players: tuple[Generator, Discriminator] | None = None,
    ):
        width = settings.latent + settings.latent_categories
        super().__init__(width, conditional=settings.conditional, spec=spec)
        if settings.penalty_every > 1:
            log.warning(
                "model.penalty_every=%d is cheaper, and is known to fail where modes are many (Huang et al. 2024): "
                "compare with 1 before you trust it",
                settings.penalty_every,
            )
        self.settings = settings
        if players is None:
            players = build_generator(settings, spec, rng), build_discriminator(settings, spec, rng)
        self.generator, self.discriminator = players
        self._augment = parse(settings.augment, modality=spec.modality)
        self._loss = LOSSES[settings.loss]

    # -- the game ---------------------------------------------------------------------------------------------

    def players(self) -> list[Player]:
        """The discriminator, then the generator."""
        s = self.settings
        bound = s.weight_clip
        clip = None if bound is None else (lambda: clip_weights(self.discriminator.parameters(), bound))
        return [
            Player("discriminator", self.discriminator, self._discriminator_loss, s.discriminator, after_step=clip),
            Player("generator", self.generator, self._generator_loss, s.generator, averaged=True),
        ]

    def _discriminator_loss(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        y = self.condition(batch.y)
        with torch.no_grad():
            fake = self.generator(self._draw(len(batch.x), moment), y)
        weights = self._penalty_weights(moment)
        with parametrize.cached():
            if weights:
                return self._penalised_loss(batch.x, fake.float(), y, weights, moment)
            real_logits, fake_logits = self._criticise(batch.x, fake, y, moment)
        return self._adversarial(real_logits, fake_logits, moment)

    def _adversarial(self, real_logits: Tensor, fake_logits: Tensor, moment: Moment) -> dict[str, Tensor]:
        moment.note("real_logit", real_logits.mean())
        moment.note("fake_logit", fake_logits.mean())
        return {"adversarial": self._loss.discriminator(real_logits, fake_logits).mean()}

    def _penalised_loss(
        self, real: Tensor, fake: Tensor, y: Tensor | None, weights: dict[str, float], moment: Moment
    ) -> dict[str, Tensor]:
        """The loss and its gradient penalties, all in fp32, from the forward passes that they share."""
        real, fake = real.detach().requires_grad_("r1" in weights), fake.detach().requires_grad_("r2" in weights)
        penalised = {name: x for name, x in (("r1", real), ("r2", fake)) if name in weights}
        with torch.autocast(real.device.type, enabled=False):
            # One of the two penalties alone is not to pay for a second backward pass through both batches.
            real_logits, fake_logits = self._criticise(real, fake, y, moment, joined=len(penalised) != 1)
            terms = self._adversarial(real_logits, fake_logits, moment)
            if penalised:
                slopes = gradient_norms_squared(torch.cat([real_logits, fake_logits]), list(penalised.values()))
                terms |= {name: weights[name] * slope.mean() for name, slope in zip(penalised, slopes, strict=True)}
            if "gradient_penalty" in weights:
                slope = gradient_penalty(
                    lambda x: self._judge(x, y, moment), real, fake, generator=moment.noise.private()
                )
                terms["gradient_penalty"] = weights["gradient_penalty"] * slope.mean()
        return terms

    def _penalty_weights(self, moment: Moment) -> dict[str, float]:
        """What each penalty is multiplied by in this turn; empty in a turn without penalties."""
        s = self.settings
        if moment.turn % s.penalty_every:
            return {}
        weights = {
            "r1": value_at(s.r1, moment.images) / 2,
            "r2": value_at(s.r2, moment.images) / 2,
            "gradient_penalty": s.gradient_penalty,
        }
        return {name: weight * s.penalty_every for name, weight in weights.items() if weight > 0}

    def _generator_loss(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        y = self.condition(batch.y)
        fake = self.generator(self._draw(len(batch.x), moment), y)
        terms: dict[str, Tensor] = {}
        with parametrize.cached():
            fake_logits = self._judge(fake, y, moment)
            real_logits = None
            if self._loss.paired:
                with torch.no_grad():
                    real_logits = self._judge(batch.x, y, moment)
            terms["adversarial"] = self._loss.generator(real_logits, fake_logits).mean()
            if self.settings.feature_matching:
                features: Callable[[Tensor], Tensor] = self.discriminator.features
                with torch.no_grad():
                    real_features = features(self._presented(batch.x, moment))
                distance = feature_matching(real_features, features(self._presented(fake, moment)))
                terms["feature_matching"] = self.settings.feature_matching * distance
        return terms

    def _criticise(
        self, real: Tensor, fake: Tensor, y: Tensor | None, moment: Moment, *, joined: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Logits of both batches, in one pass where the discriminator judges each row by itself."""
        settings = self.settings.discriminator
        if settings.norm == "batch" or settings.minibatch_std or not joined:
            return self._judge(real, y, moment), self._judge(fake, y, moment)
        labels = None if y is None else torch.cat([y, y])
        real_logits, fake_logits = self._judge(torch.cat([real, fake.to(real.dtype)]), labels, moment).chunk(2)
        return real_logits, fake_logits

    def _judge(self, x: Tensor, y: Tensor | None, moment: Moment) -> Tensor:
        return self.discriminator(self._presented(x, moment), y).float()

    def _presented(self, x: Tensor, moment: Moment) -> Tensor:
        """What the discriminator is shown: augmented, then packed."""
        if self.settings.augment:
            x = self._augment(x, generator=moment.noise.private())
        return pack(x, self.settings.packing)

    def _draw(self, n: int, moment: Moment) -> Tensor:
        s = self.settings
        draw = moment.noise.normal if s.latent_distribution == "normal" else moment.noise.uniform
        z = draw(n, s.latent)
        return _joined(z, moment.noise.uniform(n, s.latent_categories)) if s.latent_categories else z

    # -- what a trained model does ----------------------------------------------------------------------------

    def render(self, z: Tensor, y: Tensor | None) -> Tensor:
        return self.generator(z, y)

    def latent(self, n: int, generator: torch.Generator) -> Tensor:
        s = self.settings
        if s.latent_distribution == "normal":
            z = torch.randn(n, s.latent, generator=generator)
        else:
            z = torch.rand(n, s.latent, generator=generator) * 2 - 1
        return _joined(z, torch.rand(n, s.latent_categories, generator=generator)) if s.latent_categories else z

    @torch.inference_mode()
    def critique(self, x: Tensor, y: Tensor | None = None, length: Tensor | None = None) -> Tensor:
        """Logits of the discriminator for (N, *shape): one for each pack, so (N // packing,), on the CPU.

        Series may have lengths (N,); pictures and points have none.
        """
        packs = pack(x[: len(x) // self.settings.packing * self.settings.packing], self.settings.packing)
        return self.in_chunks(self.discriminator, packs, self.condition(y))


def _joined(z: Tensor, uniforms: Tensor) -> Tensor:
    """(N, latent), (N, K) uniforms to (N, latent + K): one of K categories joins, √K in its column, so E[z²] is 1."""
    k = uniforms.shape[1]
    return torch.cat([z, one_hot(uniforms.argmax(1), k).to(z.dtype) * math.sqrt(k)], 1)
