"""The latent recurrent GAN: codes of series, a game on them, a recurrent decoder, and a model of what it leaves out.

After RTSGAN (Pei et al. 2021): the players of the game see one code for a whole series, so that no gradient penalty
goes back through time. Its encoder is recurrent. Here a code is what series vary in most, in closed form: the game need
not wait for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from noiseforge.data.spec import Batch, Dataset, Spec
from noiseforge.models.gan import GAN
from noiseforge.models.player import Moment, Player
from noiseforge.models.series import CodingSeriesModel, Made
from noiseforge.networks.build import build_discriminator, build_generator
from noiseforge.networks.mlp import MLPDiscriminator, MLPGenerator
from noiseforge.networks.sequence.autoencoder import Decoded
from noiseforge.networks.sequence.codes import CodeDiscriminator, CodeGenerator, Swelling, Textures
from noiseforge.networks.sequence.levels import LevelMixture, Shares
from noiseforge.networks.sequence.noise import ResidualNoise
from noiseforge.networks.sequence.principal import PrincipalCode, code_size
from noiseforge.networks.sequence.view import Parts, View
from noiseforge.recipes.recurrent_settings import LatentRecurrentGANSettings

Loss = Callable[[Batch, Moment], dict[str, Tensor]]


class LatentRecurrentGAN(CodingSeriesModel):
    """Four players: the decoder; on codes, discriminator and generator; and, after the decoder, the residual noise."""

    def __init__(self, settings: LatentRecurrentGANSettings, spec: Spec, rng: torch.Generator):
        size = code_size(settings.autoencoder.code, math.prod(spec.shape))
        latent = min(settings.latent, size)
        super().__init__(
            settings.autoencoder,
            spec,
            rng,
            latent=latent + settings.latent_categories,
            code=size,
            conditional=settings.conditional,
            normalise=settings.normalise,
        )
        self.shares = Shares(self.representation.levels // 2)
        self.drawn = self.representation.levels + len(self.shares.mean)
        """Numbers that are drawn from a mixture: levels, and shares of the variance that codes hold."""
        self.width += self.drawn + 1
        self.settings = settings
        self.principal = PrincipalCode(self.representation.numbers, size)
        self.swelling = Swelling(self.representation.steps, self.representation.widths[0])
        self.game = self._game(latent, rng)
        self.noise: ResidualNoise | None = None
        if settings.noise == "model" and self.representation.widths[0]:
            hidden, real = settings.autoencoder.hidden, self.representation.widths[0]
            self.noise = ResidualNoise(hidden, real, levels=self.representation.levels, chunk=self.chunk)
            self.noise.initialise(rng)

    def _game(self, latent: int, rng: torch.Generator) -> GAN:
        """Of codes with so many numbers of noise beside that of the levels."""
        settings, levels, size = self.settings, self.representation.levels, len(self.principal.scales)
        mixture = LevelMixture(self.drawn, settings.level_components, self.classes)
        numbers = 2 * size + self.swelling.numbers
        network = build_generator(_drawing(settings, latent + self.drawn), _code_spec(self.spec, numbers), rng)
        assert isinstance(network, MLPGenerator)
        generator = CodeGenerator(network, mixture, self._finished, latent=latent, width=self.width, shape=size)
        textures = Textures(self.representation.steps, self.representation.outputs + 1)
        seen = build_discriminator(settings, _code_spec(self.spec, levels + size + textures.numbers), rng)
        assert isinstance(seen, MLPDiscriminator)
        discriminator = CodeDiscriminator(seen, textures, self._restored, levels + size)
        discriminator.initialise(rng)
        drawing, spec = _drawing(settings, latent + self.drawn + 1), _code_spec(self.spec, levels + size)
        return GAN(drawing, spec, rng, players=(generator, discriminator))  # type: ignore[arg-type]

    def prepare(self, data: Dataset) -> None:
        super().prepare(data)
        batch = self.representation.some(data)
        view = self.representation(batch.x, batch.length)
        series = self.representation.flat(view)
        generator, discriminator = self.game.generator, self.game.discriminator
        assert isinstance(generator, CodeGenerator)
        assert isinstance(discriminator, CodeDiscriminator)
        self.principal.fit(series, self.representation.outputs + 1)
        share = self.representation.share(self._linear(self._code(view)), view.level, view.alive)
        self.shares.fit(share)
        kept = torch.cat([self.representation.level_whitening.kept, (self.shares.scale > 0).float()])
        generator.mixture.fit(torch.cat([view.level, self.shares(share)], 1), self.condition(batch.y), kept)
        generator.scales.copy_(self.principal.scales)
        discriminator.textures.fit(self.representation.steps_of(series))

    def _restored(self, code: Tensor) -> Tensor:
        """What codes tell in closed form of each step of a series: (N, T, outputs + 1)."""
        return self.representation.steps_of(self.principal.restore(code[:, self.representation.levels :]))

    def _finished(self, shape: Tensor, swells: Tensor, drawn: Tensor) -> Tensor:
        """Codes of levels and of the series that shapes (N, size) stand for, after their components have swollen.

        Of the variance that levels say, each component then has the share that was drawn: without, a series would have
        too little or too much of it, for what its scale is is a matter of many numbers of a shape at once.
        """
        level, share = drawn.split([self.representation.levels, len(self.shares.mean)], 1)
        series = self.representation.steps_of(self.principal.restore(shape))
        real, others = series.tensor_split([self.representation.widths[0]], 2)
        alive, share = series[..., -1] > 0.5, self.shares.restore(share).unsqueeze(1)
        real = self.representation.levelled(self.swelling(real, swells), level, alive, share) * alive.unsqueeze(2)
        return torch.cat([level, self.principal(torch.cat([real, others], 2).flatten(1))], 1)

    def _linear(self, code: Tensor) -> Tensor:
        """The components (N, T, R) among them."""
        return self._restored(code)[..., : self.representation.widths[0]]

    def parts(self, code: Tensor, decoded: Decoded) -> Parts:
        """What the principal components are, and what the decoder adds to them."""
        outputs = decoded.outputs.float()
        linear = self._linear(code)
        real = outputs[..., : linear.shape[2]] + linear
        return super().parts(code, decoded._replace(outputs=torch.cat([real, outputs[..., linear.shape[2] :]], 2)))

    # -- the game ---------------------------------------------------------------------------------------------

    def players(self) -> list[Player]:
        """The decoder until its images are seen, then the noise; the game on codes meanwhile."""
        s, ready = self.settings, self.settings.autoencoder.images
        players = [Player("decoder", self.decoder, self._decoder_loss, s.autoencoder, ends=ready)]
        players += [replace(player, loss=self._on_codes(player.loss)) for player in self.game.players()]
        if self.noise is not None:
            ends, loss = ready + s.residual_images, partial(self._residual_loss, self.noise)
            players.append(Player("residual", self.noise, loss, s.residual, begins=ready, ends=ends))
        return players

    def _decoder_loss(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        s, y = self.settings.autoencoder, self.condition(batch.y)
        view = self.representation(batch.x, batch.length)
        code = self._code(view)
        parts = self.parts(code, self.decoder(self._jittered(code, s.jitter, moment), y))
        errors = self.representation.errors(view, parts)
        count = view.known.sum().clamp(min=1)
        terms = {"values": errors.square().sum() / count}
        if s.difference:
            terms["differences"] = s.difference * errors.diff(dim=1).square().sum() / count
        if self.representation.chooses:
            # From codes of which some are nearly as they are and others mostly noise. What a generator makes is between
            # them, and gaps, categories and lengths are to be no surer than it is.
            share = (moment.noise.uniform(len(code), 1) + 1) / 2
            unsure = self.decoder(self._jittered(code, share, moment), y)
            for name, nats in self.choices(view, self.parts(code, unsure), unsure).items():
                terms[name] = nats.sum() / view.alive.sum()
        return terms

    def _jittered(self, code: Tensor, share: Tensor | float, moment: Moment) -> Tensor:
        """Codes, with noise in their shapes of this share of each number's scale."""
        scales = self.principal.scales
        noise = share * scales * moment.noise.normal(len(code), len(scales))
        return code + pad(noise, (code.shape[1] - len(scales), 0))

    def _on_codes(self, loss: Loss) -> Loss:
        """A loss of the game, of codes in place of series."""

        def of_series(batch: Batch, moment: Moment) -> dict[str, Tensor]:
            with torch.no_grad():
                codes = self.coded(batch.x, batch.length, None).float()
            return loss(Batch(codes, batch.y), moment)

        return of_series

    def _residual_loss(self, noise: ResidualNoise, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Nats a component and step of what the autoencoder leaves out, at steps without gaps."""
        y = self.condition(batch.y)
        with torch.no_grad():
            view = self.representation(batch.x, batch.length)
            code = self._code(view)
            decoded = self.decoder(code, y)
            residual = self.representation.errors(view, self.parts(code, decoded))
        kept = self.representation.whitening.kept
        whole = (view.known | (kept == 0)).all(2)
        log_prob = noise.log_prob(residual, decoded.states, view.level) * kept
        return {"residual": -(log_prob.sum(2) * whole).sum() / (whole.sum() * kept.sum()).clamp(min=1)}

    # -- what a trained model does ----------------------------------------------------------------------------

    def latent(self, n: int, generator: torch.Generator) -> Tensor:
        return self.game.latent(n, generator)

    def decoded(self, z: Tensor, y: Tensor | None) -> tuple[Tensor, Decoded]:
        code = self.game.render(z, y)
        return code, self.decoder(code, y)

    def made(self, z: Tensor, y: Tensor | None, generator: torch.Generator | None, *, denoised: bool) -> Made:
        code, decoded = self.decoded(z, y)
        if denoised or generator is None or self.noise is None:
            return self.draft(code, decoded, None, generator)
        level = code[:, : self.representation.levels]
        noise = self.noise.sample(decoded.states, level, self.representation.steps, generator)
        return self.draft(code, decoded, noise, generator)

    def coded(self, x: Tensor, length: Tensor | None, y: Tensor | None) -> Tensor:
        return self._code(self.representation(x, length))

    def _code(self, view: View) -> Tensor:
        return torch.cat([view.level, self.principal(self.representation.flat(view))], 1)


def _drawing(settings: LatentRecurrentGANSettings, latent: int) -> LatentRecurrentGANSettings:
    """The settings, with so many numbers of noise."""
    return settings.model_copy(update={"latent": latent})


def _code_spec(spec: Spec, numbers: int) -> Spec:
    return Spec(
        source=f"codes of {spec.source}",
        modality="point",
        shape=(numbers,),
        classes=spec.classes,
        value_range=None,
        fingerprint=spec.fingerprint,
    )
