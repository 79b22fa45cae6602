"""The direct recurrent GAN: both players read and write series step by step (Esteban et al. 2017; Lin et al. 2020)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from noiseforge.corruption import parse
from noiseforge.data.spec import Batch, Spec
from noiseforge.models.gan import GAN
from noiseforge.models.latent import LatentModel
from noiseforge.models.player import Moment
from noiseforge.models.series import Made, SeriesModel
from noiseforge.networks.sequence.autoencoder import chunk_for
from noiseforge.networks.sequence.generator import RecurrentDiscriminator, RecurrentGenerator, unpresented
from noiseforge.networks.sequence.representation import Representation
from noiseforge.objectives.adversarial import LOSSES
from noiseforge.recipes.recurrent_settings import RecurrentGANSettings


class RecurrentGAN(SeriesModel, GAN):
    """The game of `GAN` between recurrent networks, on what a `View` shows of series.

    Lengths, categories and gaps are made by the generator as well, as hard choices that pass gradients on; labels are
    told at every step. All that is drawn is the noise.
    """

    settings: RecurrentGANSettings
    generator: RecurrentGenerator  # type: ignore[assignment]
    discriminator: RecurrentDiscriminator  # type: ignore[assignment]

    def __init__(self, settings: RecurrentGANSettings, spec: Spec, rng: torch.Generator):
        representation = Representation(spec, normalise=settings.normalise)
        classes = len(spec.classes) if settings.conditional else 0
        chunk = settings.chunk or chunk_for(representation.steps)
        generator = RecurrentGenerator(
            representation, settings.latent, **_sizes(settings.generator.hidden, settings.cell, chunk, classes)
        )
        # The networks of a GAN are others: of its beginning, only what all latent models have is wanted.
        LatentModel.__init__(self, generator.draws, conditional=settings.conditional, spec=spec)
        self.settings, self.representation, self.generator = settings, representation, generator
        self.discriminator = RecurrentDiscriminator(
            settings.packing * representation.inputs,
            **_sizes(settings.discriminator.hidden, settings.cell, chunk, classes),
            twice=settings.r1 != 0 or settings.r2 != 0 or settings.gradient_penalty > 0,
        )
        self.generator.initialise(rng)
        self.discriminator.initialise(rng)
        self._augment = parse("", modality=spec.modality)
        self._loss = LOSSES[settings.loss]

    def _discriminator_loss(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        return super()._discriminator_loss(self._viewed(batch), moment)

    def _generator_loss(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        return super()._generator_loss(self._viewed(batch), moment)

    def _viewed(self, batch: Batch) -> Batch:
        return batch._replace(x=self.representation(batch.x, batch.length).inputs)

    def _presented(self, x: Tensor, moment: Moment) -> Tensor:
        return self._packed(x)

    def _packed(self, x: Tensor) -> Tensor:
        """(N, T, F) -> (N / packing, T, packing·F): neighbours side by side."""
        count = self.settings.packing
        return x.unflatten(0, (-1, count)).transpose(1, 2).flatten(2) if count > 1 else x

    def _draw(self, n: int, moment: Moment) -> Tensor:
        return moment.noise.normal(n, self.width)

    # -- what a trained model does ----------------------------------------------------------------------------

    def made(self, z: Tensor, y: Tensor | None, generator: torch.Generator | None, *, denoised: bool) -> Made:
        parts, length = unpresented(self.representation, self.generator(z, y))
        return Made(parts, length.cpu())

    def latent(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(n, self.width, generator=generator)

    @torch.inference_mode()
    def critique(self, x: Tensor, y: Tensor | None = None, length: Tensor | None = None) -> Tensor:
        """The discriminator's mean logit of series (N, T, D), one for each pack, so (N // packing,), on the CPU."""
        device = self.representation.real.device
        whole = len(x) // self.settings.packing * self.settings.packing
        shown = self.representation(x[:whole].to(device), None if length is None else length[:whole].to(device)).inputs
        return self.in_chunks(self.discriminator, self._packed(shown), self.condition(y)).mean(1)


def _sizes(hidden: tuple[int, ...] | None, cell: str, chunk: int, classes: int) -> dict[str, Any]:
    """What both networks are told of their size."""
    widths = hidden or (100,)
    return {"hidden": widths[0], "layers": len(widths), "cell": cell, "chunk": chunk, "classes": classes}
