"""Spoken digits need the extra, and say so."""

import sys

import pytest
import torch

from noiseforge.data import load_data
from noiseforge.data.clips import Clips
from noiseforge.errors import UserError


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from noiseforge.data import speech

    speech._spoken.cache_clear()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UserError, match=r"pip install 'noiseforge\[speech\]'"):
        load_data("spoken-digits")


def test_every_voice_says_every_digit_and_says_it_again_alike() -> None:
    pytest.importorskip("espeakng_loader")
    data = load_data("spoken-digits")
    assert data.spec.classes == tuple("0123456789") and len(data.spec.speakers) == 6
    assert isinstance(data.train, Clips)
    assert torch.bincount(data.train.labels * 6 + data.train.speakers).tolist() == [11] * 60
    assert int(data.train.lengths.min()) > 0.1 * 8000 and data.spec.shape[1] < 1.5 * 8000
    assert load_data("spoken-digits").spec == data.spec
