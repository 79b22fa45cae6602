"""What the recipe of a game of two networks may say, and which combinations cannot work."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from noiseforge.recipes.player_settings import PlayerSettings
from noiseforge.recipes.schedule import Schedule, Settings


class AdversarialSettings(Settings):
    """Two networks, a loss, its penalties, and what guards against collapse."""

    network: Literal["mlp", "dcgan", "residual"]
    latent: int = Field(100, ge=1)
    latent_distribution: Literal["normal", "uniform"] = "normal"
    latent_categories: int = Field(0, ge=0)
    """A draw of so many equally likely categories joins the latent, for data that falls into separate parts."""
    conditional: bool = False
    generator: PlayerSettings = PlayerSettings()
    discriminator: PlayerSettings = PlayerSettings()
    loss: Literal["minimax", "nonsaturating", "leastsquares", "hinge", "wasserstein", "relativistic"]
    r1: Schedule = 0.0
    r2: Schedule = 0.0
    gradient_penalty: float = Field(0.0, ge=0)
    penalty_every: int = Field(1, ge=1)
    """Penalties every so many turns of the discriminator, multiplied by that number."""
    weight_clip: float | None = Field(None, gt=0)
    feature_matching: float = Field(0.0, ge=0)
    packing: int = Field(1, ge=1)
    augment: str = ""
    """Corruption text for real and generated samples before the discriminator: `translate:0.125 | cutout:0.5`."""

    @model_validator(mode="after")
    def refuse_senseless(self) -> AdversarialSettings:
        """Combinations that cannot work, each with the reason."""
        penalised = self.r1 != 0 or self.r2 != 0 or self.gradient_penalty > 0
        if self.discriminator.norm == "batch" and penalised:
            raise ValueError(
                "discriminator.norm=batch with r1, r2 or gradient_penalty: batch norm makes the gradient of one "
                "sample depend on the others, so a penalty per sample means nothing; use norm none or spectral"
            )
        if self.discriminator.norm == "batch" and self.packing > 1:
            raise ValueError(
                "discriminator.norm=batch with packing: batch norm already mixes the samples that packing is to "
                "compare; use norm none or spectral"
            )
        if self.discriminator.norm == "batch" and self.loss == "relativistic":
            raise ValueError(
                "discriminator.norm=batch with loss=relativistic: real and generated batches are normalised apart, "
                "so paired differences mean nothing; use norm none or spectral"
            )
        if self.conditional and self.packing > 1:
            raise ValueError("packing with conditional=true: samples of one pack would have different labels")
        if (
            self.loss == "wasserstein"
            and self.gradient_penalty == 0
            and self.weight_clip is None
            and (self.discriminator.norm != "spectral" and self.r1 == 0)
        ):
            raise ValueError(
                "loss=wasserstein needs a bound on the discriminator's slope: set gradient_penalty (10), "
                "weight_clip (0.01), r1, or discriminator.norm=spectral"
            )
        if self.weight_clip is not None and self.discriminator.norm == "spectral":
            raise ValueError("weight_clip with discriminator.norm=spectral: two bounds on the same weights; keep one")
        if self.weight_clip is not None and self.gradient_penalty > 0:
            raise ValueError("weight_clip with gradient_penalty: the penalty was made to replace clipping; keep one")
        g = self.generator
        if g.norm == "spectral" or g.minibatch_std or g.activation == "maxout" or g.fourier:
            raise ValueError("generator: norm=spectral, minibatch_std, maxout and fourier belong to the discriminator")
        if self.network == "residual" and (self.generator.norm != "none" or self.discriminator.norm == "batch"):
            raise ValueError("network=residual is free of normalisation: norm is none, or the discriminator's spectral")
        if self.penalty_every > 1 and not penalised:
            raise ValueError("penalty_every without r1, r2 or gradient_penalty has nothing to space out")
        return self
