"""What may stand in the recipe of a classifier of sequences."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from noiseforge.recipes.player_settings import OptimiserSettings
from noiseforge.recipes.schedule import Settings


class ClassifierSettings(Settings):
    """A deep recurrent network that reads a sequence and names its class."""

    kind: Literal["classifier"] = "classifier"
    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    """rnn is the plain one with tanh, of which gradients vanish."""
    hidden: int = Field(128, ge=1)
    """Units of each layer, in each direction."""
    layers: int = Field(2, ge=1)
    bidirectional: bool = False
    pooling: Literal["last", "mean", "max", "mean_max"] = "mean_max"
    """How the steps become one vector."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the features between layers and before the classes that one round leaves out."""
    layer_norm: bool = False
    residual: bool = False
    """Adds to what a layer says what it read."""
    chunk: int = Field(1, ge=1)
    """Neighbouring steps that the network reads as one."""
    dilations: tuple[int, ...] = ()
    """Each layer's, such as [1, 2, 4, 8]: it reads every so many steps; left out, every step."""
    initial: Literal["orthogonal", "uniform"] = "orthogonal"
    """Weights at the start: orthogonal ones of the state and a gate that keeps it, or as torch's own and the tutorials
    have them, all uniform up to 1 / √hidden."""
    chrono: bool = False
    """Gates begin as if something had to be kept for up to the longest sequence (Tallec and Ollivier 2018)."""
    truncate: int | None = Field(None, ge=1)
    """Steps after which gradients reach no further back; memory then does not grow with a sequence's length."""
    corrupt: tuple[str, ...] = ()
    """Corruptions, of which each example meets one by chance at every look; "" is none: ["", "snr:10", "snr:0"]."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    optimiser: OptimiserSettings = OptimiserSettings(lr=1e-3, beta1=0.9, clip_norm=1.0)

    @model_validator(mode="after")
    def refuse_senseless(self) -> ClassifierSettings:
        """Combinations that cannot work, each with the reason."""
        if self.dilations and (len(self.dilations) != self.layers or min(self.dilations) < 1):
            wanted = f"one whole number of at least 1 for each of the {self.layers} layers"
            raise ValueError(f"dilations: expected {wanted}, got {list(self.dilations)}")
        if self.chrono and (self.cell == "rnn" or self.initial == "uniform"):
            raise ValueError("chrono sets gates as it draws them: it needs cell=lstm or gru, and initial=orthogonal")
        if self.truncate is None:
            return self
        if self.bidirectional:
            raise ValueError(
                "truncate with bidirectional=true: what reads from the end needs all of a sequence at once"
            )
        whole = self.chunk * math.lcm(*self.dilations)
        if self.truncate % whole:
            raise ValueError(f"truncate={self.truncate} must be a multiple of {whole}, by the chunk and the dilations")
        return self
