"""The recurrent variational autoencoder: one latent for a whole series."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from noiseforge.data.spec import Batch, Spec
from noiseforge.models.latent import Code, EncodingModel
from noiseforge.models.player import Moment, Player
from noiseforge.models.series import CodingSeriesModel, Made
from noiseforge.networks.sequence.autoencoder import Decoded, SequenceEncoder
from noiseforge.networks.sequence.view import Parts, View
from noiseforge.objectives.variational import free_bits, guarded, kl_normal, normal_log_density, reparameterised
from noiseforge.recipes.recurrent_settings import RecurrentVAESettings
from noiseforge.recipes.schedule import value_at


class RecurrentVAE(CodingSeriesModel, EncodingModel):
    """One player, who raises the evidence lower bound of series (Kingma and Welling 2014).

    Whitened components are normal about what the decoder gives, each with a scale of its own; categories, gaps and
    lengths have the probabilities that it gives them.
    """

    def __init__(self, settings: RecurrentVAESettings, spec: Spec, rng: torch.Generator):
        width, steps = settings.latent, spec.shape[0]
        super().__init__(
            settings, spec, rng, latent=width, code=width, conditional=settings.conditional, normalise=False
        )
        self.encoder = SequenceEncoder(
            self.representation.inputs,
            steps,
            2 * width,
            hidden=settings.hidden,
            chunk=self.chunk,
            cell=settings.cell,
            classes=self.classes,
        )
        self.encoder.initialise(rng)
        self.settings = settings
        self.log_scale = nn.Parameter(torch.full((self.representation.widths[0],), math.log(settings.sigma)))

    def players(self) -> list[Player]:
        """The encoder and the decoder as one."""
        return [Player("autoencoder", self, self._loss, self.settings.optimiser, averaged=True)]

    def _loss(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Minus the bound in its terms, nats a series."""
        s, y = self.settings, self.condition(batch.y)
        view = self.representation(batch.x, batch.length)
        code = self._coded(view, y)
        z = reparameterised(*code, moment.noise.normal(len(batch.x), self.width))
        decoded = self.decoder(z, y)
        parts = self.parts(z, decoded)
        terms = {"reconstruction": -self._log_density(view, parts).mean()}
        terms |= {name: nats.mean() for name, nats in self.choices(view, parts, decoded).items()}
        kl, beta = kl_normal(*code), value_at(s.beta, moment.images)
        plain = kl.sum() / len(kl)
        moment.note("bound", -(torch.stack(list(terms.values())).sum() + plain))
        return {**terms, "kl": beta * (free_bits(kl, s.free_bits) if s.free_bits else plain)}

    def _log_density(self, view: View, parts: Parts) -> Tensor:
        """Nats (N,) of the components. A step of which a share is known has that share of their normalisers."""
        errors, log_variance = self.representation.errors(view, parts), guarded(2 * self.log_scale)
        zeros = torch.zeros_like(errors)
        unknown = 1 - view.known.float().mean(2, keepdim=True)
        density = normal_log_density(errors, zeros, log_variance) - unknown * normal_log_density(
            zeros, zeros, log_variance
        )
        return (density * self.representation.whitening.kept).sum((1, 2))

    # -- what a trained model does ----------------------------------------------------------------------------

    def decoded(self, z: Tensor, y: Tensor | None) -> tuple[Tensor, Decoded]:
        return z, self.decoder(z, y)

    def made(self, z: Tensor, y: Tensor | None, generator: torch.Generator | None, *, denoised: bool) -> Made:
        _, decoded = self.decoded(z, y)
        if denoised or generator is None:
            return self.draft(z, decoded, None, generator)
        shape = (len(z), self.representation.steps, len(self.log_scale))
        noise = torch.randn(shape, generator=generator).to(z.device) * self.log_scale.exp()
        return self.draft(z, decoded, noise, generator)

    @torch.inference_mode()
    def encode(self, x: Tensor, y: Tensor | None = None, length: Tensor | None = None) -> Code:
        """q(z|x) of series (N, T, D) with NaN for gaps, in model units, and their labels and lengths; on the CPU."""
        ends = torch.full((len(x),), x.shape[1]) if length is None else length

        def network(rows: Tensor, labels: Tensor | None) -> Tensor:
            some, device = rows.cpu(), rows.device
            view = self.representation(x[some].to(device), ends[some].to(device))
            return torch.cat(self._coded(view, labels), 1)

        if not len(x):
            return Code(torch.empty(0, self.width), torch.empty(0, self.width))
        return Code(*self.in_chunks(network, torch.arange(len(x)), self.condition(y)).chunk(2, dim=1))

    def coded(self, x: Tensor, length: Tensor | None, y: Tensor | None) -> Tensor:
        return self._coded(self.representation(x, length), y).mean

    def _coded(self, view: View, y: Tensor | None) -> Code:
        mean, log_variance = self.encoder(view, y).float().chunk(2, dim=1)
        return Code(mean, guarded(log_variance))
