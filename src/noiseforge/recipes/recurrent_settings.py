"""Settings of the models that generate series."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from noiseforge.recipes.adversarial_settings import AdversarialSettings
from noiseforge.recipes.player_settings import OptimiserSettings, PlayerSettings
from noiseforge.recipes.schedule import Ramp, Schedule, Settings


class RecurrentNetworkSettings(Settings):
    """The recurrent networks between series and codes."""

    hidden: int = Field(64, ge=1)
    """Units of every layer, in the encoder in each direction."""
    layers: int = Field(2, ge=1)
    """Of the decoder; the encoder has one, in both directions."""
    cell: Literal["lstm", "gru"] = "gru"
    chunk: int | None = Field(None, ge=1)
    """Steps of a series that the networks take at once; None: as few as let them run for 64 at most."""


class AutoencoderSettings(RecurrentNetworkSettings, OptimiserSettings):
    """Networks, how they learn, and what of."""

    lr: Schedule = Ramp(start=3e-3, end=0.0, images=200_000)
    beta1: float = Field(0.9, ge=0, lt=1)
    clip_norm: float | None = Field(1.0, gt=0)
    code: int = Field(1280, ge=1)
    """Principal components that a series is coded in, beside its levels; fewer where it has no more numbers."""
    jitter: float = Field(0.1, ge=0, allow_inf_nan=False)
    """Standard deviation of the noise on the codes that the decoder learns values from, in those of each number."""
    difference: float = Field(0.5, ge=0, allow_inf_nan=False)
    """Weight of the squared error of the differences from step to step, beside that of the values."""
    images: int = Field(200_000, ge=1)
    """Series seen when the decoder ends, and the model of noise begins."""


class LatentRecurrentGANSettings(AdversarialSettings):
    """A game on codes, a recurrent decoder, and a model of what it leaves out."""

    kind: Literal["latent_rgan"] = "latent_rgan"
    network: Literal["mlp"] = "mlp"
    """Of the game on codes."""
    latent: int = Field(1280, ge=1)
    """Numbers of noise, at most as many as a code has."""
    loss: Literal["minimax", "nonsaturating", "leastsquares", "hinge", "wasserstein", "relativistic"] = "relativistic"
    r1: Schedule = 1.0
    r2: Schedule = 1.0
    generator: PlayerSettings = PlayerSettings(hidden=(256, 256, 256), beta1=0.0, beta2=0.99)
    discriminator: PlayerSettings = PlayerSettings(hidden=(256, 256, 256), beta1=0.0, beta2=0.99)
    normalise: bool = True
    """Each component of each series loses its mean and scale, its levels, which are drawn beside its shape: for series
    of which some are quiet and some lively. Without, all are seen on one scale."""
    level_components: int = Field(64, ge=1)
    """Normal distributions in the mixture that levels are drawn from, at most; fewer where series are few."""
    autoencoder: AutoencoderSettings = AutoencoderSettings()
    noise: Literal["model", "none"] = "model"
    """Whether what the autoencoder leaves out is modelled, and drawn beside what the decoder makes."""
    residual: OptimiserSettings = OptimiserSettings(lr=2e-3, beta1=0.9, clip_norm=1.0)
    """How the model of it learns."""
    residual_images: int = Field(64_000, ge=1)
    """Series that it learns from, after the autoencoder has ended."""

    @model_validator(mode="after")
    def refuse_pictures_settings(self) -> LatentRecurrentGANSettings:
        """Codes are not pictures."""
        if self.augment:
            raise ValueError("kind=latent_rgan with augment: the game is on codes, which have no augmentation")
        return self


class RecurrentVAESettings(RecurrentNetworkSettings):
    """The variational family: recurrent networks, and a normal likelihood of each component of the whitened series."""

    kind: Literal["rvae"] = "rvae"
    latent: int = Field(32, ge=1)
    conditional: bool = False
    sigma: float = Field(0.5, gt=0, allow_inf_nan=False)
    """Where the scale of each component starts, in standard deviations of the data."""
    optimiser: OptimiserSettings = OptimiserSettings(lr=2e-3, beta1=0.9, clip_norm=100.0)
    beta: Schedule = 1.0
    """Weight of the KL term; a ramp from 0 warms it up."""
    free_bits: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Nats of KL that each dimension of the latent has for free (Kingma et al. 2016)."""


class RecurrentGANSettings(AdversarialSettings):
    """A recurrent generator with noise at every step, and a recurrent discriminator."""

    kind: Literal["rgan"] = "rgan"
    network: Literal["recurrent"] = "recurrent"  # type: ignore[assignment]
    cell: Literal["lstm", "gru"] = "gru"
    chunk: int | None = Field(None, ge=1)
    """Steps of a series that the networks make, or see, at once; None: as few as let them run for 64 at most."""
    normalise: bool = True
    """Each component of each series loses its mean and scale, its levels, which are drawn beside its shape: for series
    of which some are quiet and some lively. Without, all are seen on one scale."""
    level_components: int = Field(24, ge=1)
    """Normal distributions in the mixture that levels are drawn from, at most; fewer where series are few."""
    latent: int = Field(8, ge=1)
    """Normal draws for each step of the generator, and as many for the whole series."""
    loss: Literal["minimax", "nonsaturating", "leastsquares", "hinge", "wasserstein", "relativistic"] = "relativistic"
    r1: Schedule = 1.0
    r2: Schedule = 1.0
    generator: PlayerSettings = PlayerSettings(hidden=(100,), lr=5e-4, beta1=0.0, beta2=0.99)
    discriminator: PlayerSettings = PlayerSettings(hidden=(100,), lr=5e-4, beta1=0.0, beta2=0.99)

    @model_validator(mode="after")
    def refuse_other_networks_settings(self) -> RecurrentGANSettings:
        """Recurrent layers are of one width, and take nothing else."""
        for name in ("generator", "discriminator"):
            chosen = getattr(self, name)
            if chosen.hidden is not None and len(set(chosen.hidden)) != 1:
                raise ValueError(f"{name}.hidden={list(chosen.hidden)}: recurrent layers are as wide as each other")
            if chosen.norm != "none" or chosen.minibatch_std or chosen.fourier or chosen.width is not None:
                raise ValueError(f"{name}: norm, minibatch_std, fourier and width are not for kind=rgan")
        if self.augment or self.feature_matching or self.latent_categories or self.latent_distribution != "normal":
            raise ValueError(
                "augment, feature_matching, latent_categories and latent_distribution are not for kind=rgan: leave "
                "them out"
            )
        return self
