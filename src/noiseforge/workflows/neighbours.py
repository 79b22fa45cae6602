"""Samples beside the training examples that are nearest to them: are they copies?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from noiseforge.data import Data
from noiseforge.data.columns import to_source
from noiseforge.data.folder import OnBadFile
from noiseforge.data.pictures import grid, in_source_units, show
from noiseforge.data.samples import Samples
from noiseforge.data.saving import check_picture, save_picture
from noiseforge.data.sequence_pictures import plots
from noiseforge.data.spec import Spec
from noiseforge.evaluation.hearing import hear, heard_samples
from noiseforge.evaluation.sequence_neighbours import Closeness
from noiseforge.evaluation.sequence_view import everything, filled
from noiseforge.evaluation.sound_statistics import nearest_clips
from noiseforge.workflows.report import SHOWN, paired
from noiseforge.workflows.subject import RunLike, SamplesLike, reference, subject_samples

if TYPE_CHECKING:
    from PIL.Image import Image

SOUND_IN_ROW = 4
"""Pairs of spectrograms, which are wide, in a row of the picture."""


class Neighbours(NamedTuple):
    """Samples and their nearest training examples, both (n, *shape); distances (n,) in source units.

    Sound is (n, 1, T), padded to the longest of both, and its distances are between spectrograms in [-1, 1].
    Series are (n, T, columns) in source units, NaN where a value is missing or after the end, and their distances are
    between whitened series.
    """

    samples: np.ndarray
    nearest: np.ndarray
    distances: np.ndarray
    indices: np.ndarray


def neighbours(
    subject: RunLike | SamplesLike,
    *,
    data: str | Path | Data | None = None,
    n: int = 16,
    seed: int = 0,
    device: str = "auto",
    on_bad_file: OnBadFile = "error",
    out: str | Path | None = None,
    overwrite: bool = False,
) -> Neighbours:
    """Samples of a run, a file or an array beside the training examples nearest to them.

    Pictures and points are compared value by value, series step by step, sound by its spectrograms, wherever in them it
    begins. `out` is a picture of the pairs: each sample, and to its right its neighbour; of sound, their spectrograms;
    of series, the neighbour dotted beneath the sample.
    """
    if out is not None:
        check_picture(Path(out), overwrite=overwrite)
    real, run = reference(subject, data, on_bad_file)
    model = run.load_model(device) if run else None
    samples = subject_samples(subject, model, real, n, seed, on_bad_file)
    if real.spec.modality == "sequence":
        found, picture = _series_pairs(samples, real)
        if out is not None:
            save_picture(Path(out), picture)
        return found
    search = _heard_pairs if real.spec.modality == "audio" else _pairs
    found, pictures = search(samples, real)
    if out is not None and real.spec.modality == "audio":
        save_picture(Path(out), grid(pictures, columns=2 * SOUND_IN_ROW, scale=1))
    elif out is not None:
        options = {"columns": SHOWN} if real.spec.modality == "image" else {}
        save_picture(Path(out), show(pictures, real.spec, **options))
    return found


def _pairs(samples: Samples, real: Data) -> tuple[Neighbours, Tensor]:
    """The neighbours by value, and the pairs (2 n, *shape) to be shown."""
    pairs, distances, indices = paired(samples.x, real)
    sides = (pairs if real.spec.modality == "image" else in_source_units(pairs, real.spec)).numpy()
    scaled = (distances * real.spec.scale).numpy()
    return Neighbours(sides[:, 0], sides[:, 1], scaled, indices.numpy()), pairs.flatten(0, 1)


def _heard_pairs(samples: Samples, real: Data) -> tuple[Neighbours, Tensor]:
    """The neighbours by spectrogram, and the pairs (2 n, 1, mels, frames) to be shown, high notes above."""
    heard = hear(real)
    training, ours = heard.by("label").train, heard_samples(samples, heard.ear)
    found = nearest_clips(ours, training)
    nearest = real.train.batch(found.clip).x
    longest = max(samples.x.shape[-1], nearest.shape[-1])
    sample, neighbour = (pad(x, (0, longest - x.shape[-1])).numpy() for x in (samples.x, nearest))
    pictures = torch.stack([ours, training.batch(found.clip).x], 1).flatten(0, 1)
    return Neighbours(sample, neighbour, found.distance.numpy(), found.clip.numpy()), pictures.flip(2)


def _series_pairs(samples: Samples, real: Data) -> tuple[Neighbours, Image]:
    """The neighbours step by step, and each pair in one plot."""
    near = Closeness(real.train).nearest(filled(samples.x, samples.length))
    nearest = everything(real.train, near.place)
    picture = plots(samples.x, real.spec, length=samples.length, reference=nearest.x)
    ours, theirs = (_in_source_units(series, real.spec) for series in (samples, nearest))
    return Neighbours(ours, theirs, near.distance.numpy(), near.place.numpy()), picture


def _in_source_units(series: Samples, spec: Spec) -> np.ndarray:
    """(n, T, columns) float64; of an attribute the same at every step."""
    columns = to_source(series.x, series.length, spec).values()
    return np.stack([np.broadcast_to(part.T, series.x.shape[1::-1]).T for part in columns], 2)
