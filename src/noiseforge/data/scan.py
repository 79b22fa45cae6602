"""Sequences that need no table: computed sines, and pictures that are read step by step."""

from __future__ import annotations

import numpy as np
import torch

from noiseforge.data.examples import CHUNK, Found
from noiseforge.data.recorded import Recorded, Scan
from noiseforge.data.spec import Column
from noiseforge.data.split import seeded
from noiseforge.errors import UserError

TRAIN_SINES, TEST_SINES = 10_000, 2_000
SINE_STEPS, SINE_FEATURES = 24, 5


def read_sines(*, steps: int | None, seed: int) -> Recorded:
    """Sines (sin(f j + p) + 1) / 2 of step j, with f and p uniform on [0, 0.1] for each series and feature.

    10,000 series of 24 steps and 5 features to train, as in Yoon et al., "TimeGAN", 2019, and 2,000 more to test.
    """
    count = TRAIN_SINES + TEST_SINES
    generator = seeded(seed, "sines")
    frequency, phase = 0.1 * torch.rand(2, count, 1, SINE_FEATURES, generator=generator, dtype=torch.float64)
    places = torch.arange(steps or SINE_STEPS)[:, None]
    values = ((frequency * places + phase).sin() + 1) / 2
    return Recorded(
        values.flatten(0, 1).float().numpy(),
        tuple(Column(name=f"x{feature}", dtype="float32") for feature in range(SINE_FEATURES)),
        np.full(count, steps or SINE_STEPS),
        train_count=TRAIN_SINES,
        bounds=(0.0, 1.0),
    )


def scanned(found: Found, scan: Scan, source: str) -> Recorded:
    """Pictures (C, H, W) as series: `rows` gives H steps of W C features, `pixels` H W steps of C.

    `permuted` shuffles the pixels by one order, the same for all pictures and data sets of that size.

    Raises:
        UserError: the source holds no pictures.
    """
    if found.modality != "image":
        raise UserError(f"{source} holds {found.modality}s: scan={scan} reads pictures as series; leave it out")
    channels, height, width = found.shape
    steps = height if scan == "rows" else height * width
    parts = []
    for rows in found.rows.split(CHUNK):
        pictures = found.store.fetch(rows.flatten()).reshape(len(rows), *found.shape)
        parts.append(pictures.permute(0, 2, 3, 1).reshape(len(rows), steps, -1))
    values = torch.cat(parts)
    if scan == "permuted":
        values = values[:, torch.randperm(steps, generator=seeded(0, "permuted pixels", steps))]
    features = channels * width if scan == "rows" else channels
    kind = "real" if values.is_floating_point() else "integer"
    return Recorded(
        values.flatten(0, 1).numpy(),
        tuple(Column(name=f"x{feature}", kind=kind, dtype=str(values.numpy().dtype)) for feature in range(features)),
        np.full(len(values), steps),
        found.labels,
        found.classes,
        train_count=found.train_count,
        bounds=(found.offset - found.scale, found.offset + found.scale),
        problems=found.problems,
    )
