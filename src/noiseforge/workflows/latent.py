"""What a latent space is for: the codes of a data set, what they know of the labels, and walks along them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from noiseforge.data.saving import check_place
from noiseforge.data.spec import Dataset
from noiseforge.data.split import seeded
from noiseforge.errors import Diverged, UserError
from noiseforge.files import replacing

CHUNK = 2048
"""Examples that are fetched and encoded at a time."""
MOST_PROBED = 20_000
"""Training examples that a probe learns from: its cost grows with them, its accuracy hardly."""
NEIGHBOURS = 5
REACH = 3.0
"""Standard deviations to either side that a traversal walks."""


class Encoder(Protocol):
    """A model with an encoder: what the functions of this module need of it."""

    classes: int

    def encode(self, x: Tensor, y: Tensor | None = None, length: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(N, *shape), labels and lengths -> mean and log-variance of q(z|x), each (N, latent)."""

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(N, latent) -> (N, *shape)."""


class Encodings(NamedTuple):
    """mean (N, latent) and log_variance (N, latent) of q(z|x), and the labels y (N,) int64 of the data or None."""

    mean: Tensor
    log_variance: Tensor
    y: Tensor | None = None

    @property
    def deviation(self) -> Tensor:
        """(N, latent) standard deviations of q(z|x)."""
        return (self.log_variance / 2).exp()

    def chosen(self, most: int, seed: int) -> Encodings:
        """At most so many of them, by chance; all, in their order, where there are no more."""
        if len(self.mean) <= most:
            return self
        kept = torch.randperm(len(self.mean), generator=seeded(seed, "encodings"))[:most]
        return Encodings(*(None if part is None else part[kept] for part in self))  # type: ignore[arg-type]

    def draw(self, generator: torch.Generator) -> Tensor:
        """(N, latent): one sample of each q(z|x), which together are a sample of the aggregate posterior."""
        return self.mean + self.deviation * torch.randn(self.mean.shape, generator=generator)


class Probe(NamedTuple):
    """How well labels can be read off the means of unseen codes: shares in [0, 1] that are classified rightly."""

    linear: float
    """Logistic regression on standardised means."""
    neighbours: float
    """The 5 nearest codes of the training set, as they lie: inactive dimensions stay small."""


class Traversals(NamedTuple):
    """Walks along the most active dimensions of a latent space."""

    x: Tensor
    """(dimensions, steps, *shape) in model units; the middle of an odd number of steps is the example itself."""
    ranking: Tensor
    """(dimensions,) int64: which dimension each walk is along, the most active first."""
    activity: Tensor
    """(dimensions,) Var_x(E_q[z]) of each (Burda et al., 2016)."""


def encodings(model: Encoder, dataset: Dataset, *, n: int | None = None, seed: int = 0) -> Encodings:
    """The codes of a data set, or of n examples of it by chance.

    Args:
        model: whatever encodes; a conditional one is told the labels.
        dataset: examples in the units of the model.
        n: how many; None, or more than there are, takes all, in their order.
        seed: of the choice.

    Raises:
        UserError: n is below 1, or a conditional model meets data without labels.
        Diverged: codes are not finite.
    """
    if n is not None and n < 1:
        raise UserError(f"n must be >= 1, got {n}")
    if model.classes and dataset.labels is None:
        raise UserError(f"the model is conditional, and {dataset.spec.source} has no labels: encode labelled data")
    indices = torch.arange(len(dataset))
    if n is not None and n < len(dataset):
        indices = torch.randperm(len(dataset), generator=seeded(seed, "encodings"))[:n]
    codes = []
    for rows in indices.split(CHUNK):
        batch = dataset.batch(rows)
        codes.append(model.encode(batch.x, batch.y if model.classes else None, batch.length))
    mean, log_variance = (torch.cat(part).float().cpu() for part in zip(*codes, strict=True))
    if not (torch.isfinite(mean).all() and torch.isfinite(log_variance).all()):
        raise Diverged("codes are NaN or infinite: the encoder has diverged, train again with a lower learning rate")
    return Encodings(mean, log_variance, None if dataset.labels is None else dataset.labels[indices])


def save_encodings(
    path: str | Path, encodings: Encodings, classes: tuple[str, ...] = (), *, overwrite: bool = False
) -> None:
    """Saves codes in the form that the path's ending names.

    | ending | content |
    |---|---|
    | `.csv` | a line each: the label's name where there are labels, `mean_0`, ..., `std_0`, ... |
    | `.npz` | `mean` and `std` (N, latent) float32; `labels` (N,) int64 where there are labels |

    Raises:
        UserError: as `check_encodings_target`, or it cannot be written.
    """
    check_encodings_target(path, overwrite=overwrite)
    WRITERS[Path(path).suffix.lower()](Path(path), encodings, classes)


def check_encodings_target(path: str | Path, *, overwrite: bool = False) -> None:
    """Refuses, before the work is done, what `save_encodings` would not write.

    Raises:
        UserError: the ending is unknown, or something is there that may not be replaced.
    """
    target = Path(path)
    if target.suffix.lower() not in WRITERS or target.is_dir():
        kind = "a folder" if target.is_dir() else repr(target.suffix)
        raise UserError(f"codes cannot be saved as {kind} ({target}): use a file that ends in .csv or .npz")
    check_place(target, overwrite=overwrite)


def probe(train: Encodings, test: Encodings, *, seed: int = 0) -> Probe:
    """What simple classifiers read off the codes of `train` about those of `test`; both with labels.

    Args:
        train: at most 20,000 of them are used, by chance.
        test: what the accuracies are of.
        seed: of the choice.

    Raises:
        UserError: the training codes are of fewer than two classes, or there is nothing to test on.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = train.chosen(MOST_PROBED, seed)
    x, y = _labelled(known)
    unseen, expected = _labelled(test)
    if len(np.unique(y)) < 2 or len(expected) == 0:
        raise UserError(f"a probe needs codes of at least 2 classes and some to test it, got {len(np.unique(y))}")
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, random_state=seed))
    neighbours = KNeighborsClassifier(min(NEIGHBOURS, len(y)))
    return Probe(*(float((each.fit(x, y).predict(unseen) == expected).mean()) for each in (linear, neighbours)))


def activity(encodings: Encodings) -> Tensor:
    """(latent,) Var_x(E_q[z]): how much each dimension says of an example (Burda et al., 2016, section 5)."""
    return encodings.mean.double().var(0, correction=0).float()


def traversals(model: Encoder, encodings: Encodings, *, dimensions: int = 8, steps: int = 9) -> Traversals:
    """Walks along the most active dimensions from the code of a median example, the other dimensions held.

    The example is the one whose code is nearest to the median code. Each walk reaches three standard deviations
    of the aggregate posterior, sqrt(Var_x(E_q[z]) + E_x(Var_q[z])), to either side.

    Args:
        model: what decodes.
        encodings: of the data that the walks are through.
        dimensions: how many at most.
        steps: points of each walk, at least 2.

    Raises:
        UserError: fewer than 2 steps or than 1 dimension.
    """
    if steps < 2 or dimensions < 1:
        raise UserError(f"a walk has steps >= 2 and dimensions >= 1, got {steps} and {dimensions}")
    activities = activity(encodings)
    ranking = activities.argsort(descending=True, stable=True)[:dimensions]
    width = (activities + encodings.log_variance.exp().mean(0)).sqrt()
    start = int((encodings.mean - encodings.mean.median(0).values).square().sum(1).argmin())
    z = encodings.mean[start].repeat(len(ranking), steps, 1)
    for walk, dimension in zip(z, ranking.tolist(), strict=True):
        walk[:, dimension] += torch.linspace(-REACH, REACH, steps) * width[dimension]
    labels = encodings.y[start].expand(len(ranking) * steps) if model.classes and encodings.y is not None else None
    x = model.decode(z.flatten(0, 1), labels)
    return Traversals(x.unflatten(0, (len(ranking), steps)), ranking, activities[ranking])


def _labelled(encodings: Encodings) -> tuple[np.ndarray, np.ndarray]:
    if encodings.y is None:
        raise UserError("a probe needs labels, and the data has none: take labelled data")
    return encodings.mean.double().numpy(), encodings.y.numpy()


def _save_csv(path: Path, encodings: Encodings, classes: tuple[str, ...]) -> None:
    axes = range(encodings.mean.shape[1])
    header = [f"{part}_{axis}" for part in ("mean", "std") for axis in axes]
    rows = torch.cat([encodings.mean, encodings.deviation], dim=1).tolist()
    names = None if encodings.y is None or not classes else [classes[label] for label in encodings.y.tolist()]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header if names is None else ["label", *header])
        writer.writerows(rows if names is None else ([name, *row] for name, row in zip(names, rows, strict=True)))


def _save_npz(path: Path, encodings: Encodings, classes: tuple[str, ...]) -> None:
    arrays = {"mean": encodings.mean.numpy(), "std": encodings.deviation.numpy()}
    if encodings.y is not None:
        arrays["labels"] = encodings.y.numpy()
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


WRITERS: dict[str, Callable[[Path, Encodings, tuple[str, ...]], None]] = {".csv": _save_csv, ".npz": _save_npz}
