"""The latent recurrent GAN: a recurrent autoencoder, a game on its codes, and a model of what it leaves out.

After RTSGAN (Pei et al. 2021): the players of the game see one code for a whole series, so that no gradient penalty
goes back through time, and a long series costs no more than its autoencoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from noiseforge.data.spec import Batch, Dataset, Spec
from noiseforge.models.gan import GAN
from noiseforge.models.player import Moment, Player
from noiseforge.models.series import CodingSeriesModel, Made
from noiseforge.networks.build import build_generator
from noiseforge.networks.mlp import MLPGenerator
from noiseforge.networks.sequence.autoencoder import CodeGenerator
from noiseforge.networks.sequence.levels import LevelMixture
from noiseforge.networks.sequence.noise import ResidualNoise
from noiseforge.networks.sequence.representation import View
from noiseforge.recipes.recurrent_settings import LatentRecurrentGANSettings

Loss = Callable[[Batch, Moment], dict[str, Tensor]]


class LatentRecurrentGAN(CodingSeriesModel):
    """Four players: the autoencoder first; then, on its codes, discriminator and generator, and the residual noise."""

    def __init__(self, settings: LatentRecurrentGANSettings, spec: Spec, rng: torch.Generator):
        chosen = settings.autoencoder
        super().__init__(
            chosen,
            spec,
            rng,
            latent=settings.latent + settings.latent_categories,
            code=chosen.code,
            outputs=chosen.code,
            conditional=settings.conditional,
            normalise=settings.normalise,
        )
        levels = self.representation.levels
        self.width += levels + 1
        self.settings = settings
        self.game = GAN(_drawing(settings, levels + 1), _code_spec(spec, levels + chosen.code), rng)
        network = build_generator(_drawing(settings, levels), _code_spec(spec, chosen.code), rng)
        assert isinstance(network, MLPGenerator)
        mixture = LevelMixture(levels, settings.level_components, self.classes)
        codes = CodeGenerator(network, mixture, latent=settings.latent, width=self.width, shape=chosen.code)
        codes.initialise(rng)
        self.game.generator = codes  # type: ignore[assignment]
        self.noise: ResidualNoise | None = None
        if settings.noise == "model" and self.representation.widths[0]:
            self.noise = ResidualNoise(chosen.hidden, self.representation.widths[0], levels=levels, chunk=self.chunk)
            self.noise.initialise(rng)

    def prepare(self, data: Dataset) -> None:
        super().prepare(data)
        batch = self.representation.some(data)
        level = self.representation(batch.x, batch.length).level
        mixture = self.game.get_submodule("generator.mixture")
        assert isinstance(mixture, LevelMixture)
        mixture.fit(level, self.condition(batch.y), self.representation.level_whitening.kept)

    # -- the game ---------------------------------------------------------------------------------------------

    def players(self) -> list[Player]:
        """The autoencoder until its images are seen, then the others."""
        s, begins = self.settings, self.settings.autoencoder.images
        both = nn.ModuleList([self.encoder, self.decoder])
        players = [Player("autoencoder", both, self._autoencoder_loss, s.autoencoder, ends=begins)]
        for player in self.game.players():
            players.append(replace(player, loss=self._on_codes(player.loss), begins=begins))
        if self.noise is not None:
            ends, loss = begins + s.residual_images, partial(self._residual_loss, self.noise)
            players.append(Player("residual", self.noise, loss, s.residual, begins=begins, ends=ends))
        return players

    def _autoencoder_loss(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        s, y = self.settings.autoencoder, self.condition(batch.y)
        view = self.representation(batch.x, batch.length)
        code = self._code(view, y)
        levels = self.representation.levels
        shape = code[:, levels:]
        jittered = torch.cat([code[:, :levels], shape + s.jitter * moment.noise.normal(*shape.shape)], 1)
        decoded = self.decoder(jittered, y)
        parts = self.parts(code, decoded)
        errors = self.representation.errors(view, parts)
        count = view.known.sum().clamp(min=1)
        terms = {"values": errors.square().sum() / count, "isotropy": s.isotropy * isotropy(shape)}
        if s.difference:
            terms["differences"] = s.difference * errors.diff(dim=1).square().sum() / count
        for name, nats in self.choices(view, parts, decoded).items():
            terms[name] = nats.sum() / view.alive.sum()
        return terms

    def _on_codes(self, loss: Loss) -> Loss:
        """A loss of the game, of codes in place of series."""

        def of_series(batch: Batch, moment: Moment) -> dict[str, Tensor]:
            with torch.no_grad():
                codes = self.coded(batch.x, batch.length, self.condition(batch.y))
            return loss(Batch(codes.float(), batch.y), moment)

        return of_series

    def _residual_loss(self, noise: ResidualNoise, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Nats a component and step of what the autoencoder leaves out, at steps without gaps."""
        y = self.condition(batch.y)
        with torch.no_grad():
            view = self.representation(batch.x, batch.length)
            code = self._code(view, y)
            decoded = self.decoder(code, y)
            residual = self.representation.errors(view, self.parts(code, decoded))
        kept = self.representation.whitening.kept
        whole = (view.known | (kept == 0)).all(2)
        log_prob = noise.log_prob(residual, decoded.states, view.level) * kept
        return {"residual": -(log_prob.sum(2) * whole).sum() / (whole.sum() * kept.sum()).clamp(min=1)}

    # -- what a trained model does ----------------------------------------------------------------------------

    def latent(self, n: int, generator: torch.Generator) -> Tensor:
        return self.game.latent(n, generator)

    def made(self, z: Tensor, y: Tensor | None, generator: torch.Generator | None, *, denoised: bool) -> Made:
        code = self.game.render(z, y)
        decoded = self.decoder(code, y)
        if denoised or generator is None or self.noise is None:
            return self.draft(code, decoded, None, generator)
        level = code[:, : self.representation.levels]
        noise = self.noise.sample(decoded.states, level, self.representation.steps, generator)
        return self.draft(code, decoded, noise, generator)

    def coded(self, x: Tensor, length: Tensor | None, y: Tensor | None) -> Tensor:
        return self._code(self.representation(x, length), y)

    def _code(self, view: View, y: Tensor | None) -> Tensor:
        shape = self.encoder(view, y)
        return torch.cat([view.level, layer_norm(shape, shape.shape[1:])], 1)


def _drawing(settings: LatentRecurrentGANSettings, more: int) -> LatentRecurrentGANSettings:
    """The settings, with so many more numbers of noise."""
    return settings.model_copy(update={"latent": settings.latent + more})


def _code_spec(spec: Spec, numbers: int) -> Spec:
    return Spec(
        source=f"codes of {spec.source}",
        modality="point",
        shape=(numbers,),
        classes=spec.classes,
        value_range=None,
        fingerprint=spec.fingerprint,
    )


def isotropy(codes: Tensor) -> Tensor:
    """How far codes (N, d) are from mean 0 and covariance 1: the squared distance of both, for each dimension."""
    mean = codes.mean(0)
    covariance = (codes - mean).T @ (codes - mean) / len(codes)
    unit = torch.eye(codes.shape[1], device=codes.device)
    return (mean.square().sum() + (covariance - unit).square().sum()) / codes.shape[1]
