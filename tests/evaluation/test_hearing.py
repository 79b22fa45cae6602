"""Hearing: the spectrograms that judges look at, and how well judges of sound judge."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from noiseforge.data import Data, load_data
from noiseforge.data.samples import Samples
from noiseforge.errors import UserError
from noiseforge.evaluation import sound_variation
from noiseforge.evaluation.hearing import By, Ear, ear_of, hear, heard, heard_samples
from noiseforge.evaluation.judge import describe_judge, train_judge
from noiseforge.evaluation.judge_cache import judge_of
from noiseforge.evaluation.sound_variation import varied

EAR = Ear(sample_rate=8000, n_fft=256, hop=80, frames=40)


def tone(hertz: float, samples: int = 2400) -> Tensor:
    """A sine (1, 1, T) at 8 kHz."""
    return 0.3 * (2 * torch.pi * hertz / 8000 * torch.arange(samples)).sin()[None, None]


@pytest.mark.parametrize(("hertz", "mel"), [(500, 7.5), (1000, 15.0), (2000, 15 + 27 * 0.37343), (3500, 33.2240)])
def test_a_tone_is_loudest_in_its_own_band(hertz: float, mel: float) -> None:
    # 64 bands lie between 0 and 4 kHz, which is 15 + 27 ln 4 / ln 6.4 = 35.164 mel on Slaney's scale.
    picture = EAR(tone(hertz))[0, 0]
    assert picture.shape == (64, 40)
    assert float(picture[:, 15].argmax() + 1) == pytest.approx(mel / 35.164 * 65, abs=1.0)
    assert picture.max() == 1.0
    assert (picture[:, 30:] == -1).all() and (picture[:, :30].amax(0) > 0.8).all()  # 2400 samples are 30 frames


def test_decibels_are_linear_in_a_picture() -> None:
    """The second half is 20 dB softer, a third of the 60 dB between -1 and 1, so 2/3 lower."""
    x = tone(1000)
    x[..., 1200:] *= 0.1
    picture = EAR(x)[0, 0]
    assert float(picture[:, 5].max() - picture[:, 25].max()) == pytest.approx(2 / 3, abs=0.01)


def test_level_padding_and_batch_are_not_seen() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 1, 3000, generator=generator)
    length = torch.tensor([700, 3000, 1500])
    x[0, :, 700:] = 5.0  # it lies beyond the length, and must not be heard
    whole = EAR(x, length)
    for i, n in enumerate(length.tolist()):
        alone = EAR(0.01 * x[i : i + 1, :, :n])
        assert (alone - whole[i]).abs().max() <= 1 / 127  # one level of 8 bits, which rounding may cross
        assert (alone != whole[i]).double().mean() < 1e-3
    assert (whole[0, 0, :, 9:] == -1).all() and (whole[0, 0, :, :9] > -1).any(0).all()
    assert (EAR(torch.zeros(2, 1, 500)) == -1).all()
    assert EAR(torch.ones(1, 1, 1)).shape == (1, 1, 64, 40)
    assert torch.equal(EAR(torch.cat([x, x], 2), length), whole)


@pytest.mark.parametrize(
    ("rate", "seconds", "n_fft", "hop"), [(8000, 0.15, 256, 80), (16000, 0.15, 512, 160), (8000, 2.0, 512, 250)]
)
def test_an_ear_follows_from_rate_and_lengths(
    make: Callable[..., Data], rate: int, seconds: float, n_fft: int, hop: int
) -> None:
    data = make(100, 2, rate=rate, seconds=seconds)
    ear = ear_of(data)
    longest = int(data.train.length.max())
    assert (ear.sample_rate, ear.n_fft) == (rate, n_fft)
    assert ear.hop == pytest.approx(hop, rel=0.02)
    assert ear.frames <= 128 and (ear.frames - 1) * ear.hop < longest <= ear.frames * ear.hop


def test_a_data_set_of_spectrograms(tones: Data) -> None:
    ear = ear_of(tones)
    seen, by_speaker = heard(tones), heard(tones, by="speaker")
    assert (seen.spec.modality, seen.spec.shape) == ("image", (1, 64, ear.frames))
    assert (seen.spec.classes, by_speaker.spec.classes) == (("low", "high"), ("dull", "bright"))
    indices = torch.tensor([7, 2, 30])
    x, y, length, speaker = tones.test.batch(indices)
    again = seen.test.batch(indices)
    assert again.y is not None and y is not None and torch.equal(again.y, y)
    spoken = by_speaker.test.batch(indices).y
    assert spoken is not None and speaker is not None and torch.equal(spoken, speaker)
    assert torch.allclose(again.x, heard_samples(Samples(x, y, length), ear), atol=1e-6)
    assert (len(seen.train), len(seen.test)) == (64, 40)


def test_fingerprints_follow_from_sound_settings_and_classes(tones: Data) -> None:
    found = hear(tones)
    other_ear = found._replace(ear=replace(found.ear, decibels=50.0))
    other_sound = found._replace(sound=tones._replace(spec=tones.spec.model_copy(update={"fingerprint": "other"})))
    prints = [study.by("label").spec.fingerprint for study in (found, other_ear, other_sound)]
    prints.append(found.by("speaker").spec.fingerprint)
    assert len(set(prints)) == 4
    assert hear(tones).by("label").spec.fingerprint == prints[0]


def test_points_cannot_be_heard() -> None:
    with pytest.raises(UserError, match="expected sound with a sample rate, ring holds point examples"):
        heard(load_data("ring"))


def test_judges_of_labels_and_of_speakers(tones: Data) -> None:
    for by in ("label", "speaker"):
        judge = judge_of(heard(tones, by=by))
        assert judge.accuracy >= 0.95, by


@pytest.mark.slow
@pytest.mark.parametrize("by", ["label", "speaker"])
def test_spoken_digits_are_judged_rightly(shared_data: Path, by: By) -> None:
    """A quarter of the training clips of the official split is enough."""
    data = load_data(shared_data / "fsdd", labels_per_class=50)
    assert train_judge(heard(data, by=by)).accuracy >= 0.99


def test_only_judges_of_sound_are_known_by_how_sound_is_varied(tones: Data) -> None:
    """What a judge of pictures is kept under does not follow from how sound is varied."""
    spec = heard(tones).spec
    assert "sound" not in describe_judge(spec.model_copy(update={"sample_rate": None}), 0)
    assert describe_judge(spec, 0)["sound"] == [30, *sound_variation.SETTINGS]


def test_variation_moves_masks_and_adds_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.full((200, 1, 32, 64), -1.0)
    x[:, :, 4:8, 10:30] = 1.0
    x[:, :, 8:, 10:30] = -0.95
    seen = varied(x, generator)
    assert seen.shape == x.shape and float(seen.min()) >= -1.0
    assert torch.equal(seen, varied(x, torch.Generator().manual_seed(0)))
    bright = (seen[:, 0, 4:8] == 1).any(1)
    bright = bright[bright.any(1)]  # a mask may hide all four bands
    start, stop = bright.double().argmax(1), 64 - bright.flip(1).double().argmax(1)
    # A tenth faster or slower, and moved by up to a sixteenth of the frames.
    assert int(start.min()) >= 10 / 1.1 - 4 - 1 and int(start.max()) <= 10 / 0.9 + 4 + 8 + 1
    assert start.unique().numel() > 6 and stop.unique().numel() > 6
    floor = seen[:, 0, 20, 20]
    assert 0.3 < float((floor > -0.94).double().mean()) < 0.95  # noise, where it is louder than what was there
    silent = torch.full_like(x, -1.0)
    assert torch.equal(varied(silent, generator), silent)
