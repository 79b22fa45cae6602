"""The contracts of data: what a batch holds, what a data set is, and how both are described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from torch import Tensor

Modality = Literal["image", "audio", "sequence", "point"]


class Column(BaseModel):
    """A column of a table of series, and what a model sees of it. A value of the source is `offset + scale * x`.

    A category is seen as one feature for each of its categories, all other kinds as one feature.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["real", "integer", "category", "lag"] = "real"
    """lag: time since the step before, 0 at the first, of series whose time stamps are irregular."""
    categories: tuple[str, ...] = ()
    attribute: bool = False
    """It has one value for a whole series."""
    offset: float = 0.0
    scale: float = 1.0
    levels: tuple[float, ...] = ()
    """All its values in the training data, in source units and ascending, where they are few: others do not occur."""
    missing: bool = False
    """Whether values of it are missing in the training data."""
    dtype: str = "float64"
    """Of a data frame."""

    @property
    def width(self) -> int:
        """Features that a model sees of it."""
        return max(len(self.categories), 1)


class Table(BaseModel):
    """How a table of series is laid out, besides the columns that a model sees: by it series become a table again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: tuple[str, ...]
    """Names of all its columns, in order."""
    id_column: str | None = None
    id_dtype: str = "int64"
    time_column: str | None = None
    time_dtype: str = "float64"
    """Of dates `datetime64[us]` or the like, with the time zone, if any, behind a comma; they count in seconds."""
    time_start: float = 0.0
    """The first time stamp of the first series; of dates, seconds since 1970."""
    time_step: float | None = None
    """Between two steps; None where time is irregular, and a column of the kind lag tells it."""
    label_column: str | None = None
    label_dtype: str = "str"
    wide: bool = False
    """A row is a series of one feature, and every other column is a step."""


class Spec(BaseModel):
    """What the data is. Saved with every model: a model is rebuilt from its recipe and its Spec alone.

    A value of the source is `offset + scale * x`, where x is what a model sees. Pictures of 8 bits have
    offset 127.5 and scale 127.5, so that x lies in [-1, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    """The text that `load_data` was given."""
    modality: Modality
    shape: tuple[int, ...]
    """One example: (C, H, W) for an image, (D,) for a point, (1, T) for sound and (T, D) for sequences, T being the
    longest training example's."""
    classes: tuple[str, ...] = ()
    """Names of the labels 0, 1, ...; empty when there are no labels."""
    speakers: tuple[str, ...] = ()
    """Names of the speakers 0, 1, ... of sound; empty when they are not known."""
    sample_rate: int | None = None
    """Of sound, in Hz."""
    columns: tuple[Column, ...] = ()
    """Of sequences, whose D features are those of the columns in order."""
    table: Table | None = None
    """Of sequences that were read from a table."""
    value_range: tuple[float, float] | None = (-1.0, 1.0)
    """What x is bounded by, or None when it is not bounded."""
    offset: float = 0.0
    scale: float = 1.0
    fingerprint: str
    """SHA-256 of the training examples and labels: what a cached judge is keyed by."""

    @property
    def examples(self) -> str:
        """What several of them are called."""
        return {"image": "images", "audio": "clips", "sequence": "sequences", "point": "points"}[self.modality]


class Batch(NamedTuple):
    """Some examples. x (N, ...) float32 as a model sees it; y (N,) int64; length (N,) int64; condition (N, ...).

    Of sound, x (N, 1, T) ends in zeros after `length` samples, and the condition is the speaker's index, (N,) int64.
    Of sequences, x (N, T, D) ends in zeros after `length` steps, and NaN before them marks what is missing.
    """

    x: Tensor
    y: Tensor | None = None
    length: Tensor | None = None
    condition: Tensor | None = None


class Dataset(Protocol):
    """Examples that are fetched by their indices, many at a time, on the CPU."""

    spec: Spec

    @property
    def labels(self) -> Tensor | None:
        """(N,) int64 on the CPU, or None."""

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor) -> Batch:
        """The examples at `indices` (n,) int64, in that order."""

    def subset(self, indices: Tensor) -> Dataset:
        """The same source, restricted to `indices`."""


class Data(NamedTuple):
    """What `load_data` returns: the split data, its description, and what was found wrong with the source."""

    train: Dataset
    test: Dataset
    spec: Spec
    problems: tuple[str, ...] = ()
