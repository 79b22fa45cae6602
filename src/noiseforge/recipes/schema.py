"""What may stand in a recipe. No torch here: a wrong key is told before anything heavy is imported."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """A frozen group of settings in which an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Ramp(Settings):
    """A value that goes from `start` to `end` along half a cosine over the first `images` images, then stays."""

    start: float = Field(ge=0, allow_inf_nan=False)
    end: float = Field(ge=0, allow_inf_nan=False)
    images: float = Field(gt=0, allow_inf_nan=False)

    def at(self, images: float) -> float:
        """The value once `images` real images have been seen."""
        phase = min(images / self.images, 1.0)
        return self.end + (self.start - self.end) * 0.5 * (1 + math.cos(math.pi * phase))


Schedule = Annotated[float, Field(ge=0, allow_inf_nan=False)] | Ramp
"""A constant, or a value that changes with the number of images seen."""


def value_at(schedule: Schedule, images: float) -> float:
    """The value of a constant or a ramp after `images` images.

    >>> value_at(Ramp(start=1.0, end=0.1, images=100), 50)
    0.55
    """
    return schedule.at(images) if isinstance(schedule, Ramp) else schedule


class DataSettings(Settings):
    """Where the data comes from, and how it is cut."""

    source: str
    size: int | None = Field(None, ge=8, le=256)
    """Side of the square pictures in pixels; None keeps the source's own."""
    channels: Literal[1, 3] | None = None
    test_fraction: float = Field(0.1, gt=0, lt=1)
    """Held out, stratified by label, where the source has no test set of its own."""
    labels_per_class: int | None = Field(None, ge=1)
    seed: int = 0


class OptimiserSettings(Settings):
    """Adam for one player, and how often it plays."""

    lr: Schedule = 2e-4
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: Schedule = 0.999
    clip_norm: float | None = Field(None, gt=0)
    """Gradient norm above which the gradient is scaled down; None does not clip."""
    turns: int = Field(1, ge=1)
    """Updates of this player in one round."""


class NetworkSettings(Settings):
    """One generator or discriminator. What a kind of network does not use must be left at its default."""

    hidden: tuple[int, ...] | None = None
    """mlp: the hidden widths, from input to output."""
    width: int | None = Field(None, ge=1)
    """dcgan, residual: channels at the finest resolution."""
    max_width: int = Field(512, ge=1)
    """dcgan, residual: channels grow by 2 for each halving of the resolution, up to this."""
    blocks: int = Field(1, ge=1)
    """residual: blocks a stage."""
    group_width: int = Field(16, ge=1)
    """residual: channels in each group of the 3 x 3 convolutions."""
    norm: Literal["none", "batch", "spectral"] = "none"
    activation: Literal["relu", "leaky", "maxout", "tanh"] = "leaky"
    fourier: float = Field(0.0, ge=0)
    """mlp discriminator: sines and cosines of 64 random projections join the input, their frequencies drawn with
    this standard deviation in cycles per unit (Tancik et al. 2020); 0 leaves them out. For points of fine detail."""
    minibatch_std: bool = False
    """discriminator: append the standard deviation across groups of 4 examples as a feature."""


class PlayerSettings(NetworkSettings, OptimiserSettings):
    """A network and how it learns: `model.discriminator.width`, `model.discriminator.lr`, ..."""


class GANSettings(Settings):
    """The adversarial family: two networks, a loss, its penalties, and what guards against collapse."""

    kind: Literal["gan"] = "gan"
    network: Literal["mlp", "dcgan", "residual"]
    latent: int = Field(100, ge=1)
    latent_distribution: Literal["normal", "uniform"] = "normal"
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
    def refuse_senseless(self) -> GANSettings:
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


ModelSettings = Annotated[GANSettings, Field(discriminator="kind")]
"""One class of settings for each kind of model; the others join here as a union."""


class TrainSettings(Settings):
    """How long and how the players play. Everything is counted in real images seen, not in steps."""

    images: int = Field(ge=1)
    batch: int = Field(64, ge=2)
    """Real images of one round over all processes together."""
    average_halflife: float = Field(10_000, ge=0)
    """Half-life in images of the moving average of weights that sampling uses; 0 keeps no average."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the processor computes in it, else fp32. Penalties are always fp32."""
    sample_every: int = Field(0, ge=0)
    """Images between grids from fixed noise and between checks of health; 0: twenty in a run."""
    save_every: int = Field(0, ge=0)
    """Images between checkpoints; 0: ten in a run."""


class EvaluateSettings(Settings):
    """What `evaluate` measures by default."""

    samples: int = Field(10_000, ge=2)
    features: str | None = None
    """judge, random, pixels or inception; None: the judge where there are labels, else random."""


class Recipe(Settings):
    """One training, whole: its data, model, schedule, evaluation and seed."""

    data: DataSettings
    model: ModelSettings
    train: TrainSettings
    evaluate: EvaluateSettings = EvaluateSettings()
    seed: int = 0

    @model_validator(mode="after")
    def refuse_packs_that_do_not_fill(self) -> Recipe:
        """A batch must be whole packs."""
        if self.train.batch % self.model.packing:
            raise ValueError(f"train.batch={self.train.batch} must be a multiple of model.packing={self.model.packing}")
        return self
