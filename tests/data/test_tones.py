"""Computed tones are what their labels say."""

import numpy as np
import pytest
import torch

from noiseforge.data import describe, load_data
from noiseforge.data.clips import Clips


def test_tones_are_labelled_seeded_and_all_different() -> None:
    data = load_data("tones")
    assert data.spec.classes == ("bell", "glide", "pluck", "reed") and data.spec.speakers == ("high", "low")
    assert (len(data.train), len(data.test), data.spec.sample_rate) == (432, 48, 8000)
    assert isinstance(data.train, Clips) and 2000 <= int(data.train.lengths.min()) <= data.spec.shape[1] <= 4000
    found = describe(data)
    assert found["duplicates in training"] == 0 and found["problems"] == []
    assert load_data("tones").spec == data.spec
    assert load_data("tones", seed=1).spec.fingerprint != data.spec.fingerprint
    assert load_data("tones", sample_rate=16_000).spec.shape[1] > 6000


@pytest.mark.parametrize(("speaker", "low", "high"), [(0, 260.0, 420.0), (1, 110.0, 180.0)])
def test_registers_lie_where_they_should(speaker: int, low: float, high: float) -> None:
    data = load_data("tones", level="keep")
    batch = data.train.batch(torch.arange(len(data.train)))
    assert batch.y is not None and batch.condition is not None and batch.length is not None
    reeds = (batch.y == 3) & (batch.condition == speaker)
    for x, end in zip(batch.x[reeds, 0], batch.length[reeds], strict=True):
        spectrum = np.abs(np.fft.rfft(x[:end].numpy(), 2**15))
        assert low / 1.03 <= np.argmax(spectrum) * 8000 / 2**15 <= high * 1.03
