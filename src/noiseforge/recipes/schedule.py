"""What settings are made of: groups that know their keys, and values that change as a training goes on."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Annotated

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


class Steps(Settings):
    """A value in steps: `values[i]` until `until[i]` images have been seen, and the last value from then on."""

    values: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = Field(min_length=2)
    until: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...]

    @model_validator(mode="after")
    def refuse_disorder(self) -> Steps:
        """One moment between every two values, in order."""
        if len(self.until) != len(self.values) - 1 or list(self.until) != sorted(self.until):
            raise ValueError("until needs rising numbers of images, one less than there are values")
        return self

    def at(self, images: float) -> float:
        """The value once `images` real images have been seen."""
        return self.values[bisect_right(self.until, images)]


Schedule = Annotated[float, Field(ge=0, allow_inf_nan=False)] | Ramp | Steps
"""A constant, or a value that changes with the number of images seen."""


def value_at(schedule: Schedule, images: float) -> float:
    """The value of a constant, a ramp or steps after `images` images.

    >>> value_at(Ramp(start=1.0, end=0.1, images=100), 50)
    0.55
    """
    return schedule if isinstance(schedule, float | int) else schedule.at(images)
