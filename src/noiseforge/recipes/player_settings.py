"""What one player of a game is: a network, and how it learns."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from noiseforge.recipes.schedule import Schedule, Settings


class OptimiserSettings(Settings):
    """Adam for one player, and how often it plays."""

    lr: Schedule = 2e-4
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: Schedule = 0.999
    eps: float = Field(1e-8, gt=0, allow_inf_nan=False)
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
