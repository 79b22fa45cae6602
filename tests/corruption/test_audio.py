import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import welch
from torch import Tensor

from noiseforge.corruption import Corruption, parse
from noiseforge.corruption.coloured import NOISES, TALKERS
from noiseforge.corruption.compose import KINDS
from noiseforge.errors import UserError

RATE = 8000
LENGTHS = torch.tensor([4000, 3100, 1148, 160, 2500])
VALUES = {
    "snr": "5",
    "gaussian": "0.1",
    "clip": "0.5",
    "band": "300-3400",
    "reverb": "0.2",
    "gain": "-6",
    "drop": "0.3",
}
NAMES = sorted(NOISES.keys() - {"folder"})
EACH = [f"{name}:{VALUES[name]}" for name in KINDS["audio"]] + [f"snr:5,noise={name}" for name in NAMES]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sound(text: str) -> Corruption:
    return parse(text, "audio", RATE)


def clips(dtype: torch.dtype = torch.float32, lengths: Tensor = LENGTHS) -> Tensor:
    """(N, 1, T) of unlike loudness, zero after their lengths."""
    x = torch.randn(len(lengths), 1, int(lengths.max()), generator=rng(5), dtype=dtype)
    loudness = torch.tensor([0.3, 0.01, 0.1, 0.2, 1e-3], dtype=dtype)[: len(lengths), None, None]
    return x * loudness * (torch.arange(x.shape[2]) < lengths[:, None, None])


def measured_snr(x: Tensor, y: Tensor, lengths: Tensor = LENGTHS) -> Tensor:
    def power(z: Tensor) -> Tensor:
        return torch.stack([row[0, :n].double().square().mean() for row, n in zip(z, lengths.tolist(), strict=True)])

    return 10 * torch.log10(power(x) / power(y.double() - x.double()))


def noise_of(name: str, count: int = 8, length: int = 2**15) -> np.ndarray:
    """(count, length), the noise that is added to white clips of power 1 at 0 dB."""
    x = torch.randn(count, 1, length, generator=rng(8), dtype=torch.float64)
    return (sound(f"snr:0,noise={name}")(x, generator=rng(1)) - x)[:, 0].numpy()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long recording at another rate in stereo, a short one at RATE."""
    folder = tmp_path_factory.mktemp("noise, recorded")
    time = np.arange(22050) / 22050
    tone = 0.4 * np.sin(2 * np.pi * 1000 * time)
    (folder / "street").mkdir()
    soundfile.write(folder / "street" / "long.flac", np.stack([tone, tone], 1), 22050)
    soundfile.write(folder / "short.wav", 0.1 * np.sin(2 * np.pi * 2000 * np.arange(800) / RATE), RATE)
    (folder / "readme.txt").write_text("no sound")
    return folder


# -- as text


@pytest.mark.parametrize(
    "text",
    [
        *EACH,
        " band: 1e-3-2.5e3 | snr:-5 , noise=pink ",
        "snr:5,noise=hum,hz=60",
        "snr:5,hz=16.7,noise=hum",
        "gain:3 | clip:0.25",
    ],
)
def test_text_is_read_and_written_without_loss(text: str) -> None:
    corruption = sound(text)
    assert sound(str(corruption)) == corruption
    assert hash(sound(str(corruption))) == hash(corruption)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("snr:5,noise=pink", "snr:5,noise=pink"),
        ("snr:5, noise=white", "snr:5"),
        ("snr:5,noise=hum,hz=50", "snr:5,noise=hum"),
        ("snr:5,hz=60.0,noise=hum", "snr:5,noise=hum,hz=60"),
        ("band:300.0-3400", "band:300-3400"),
        ("band:0-1e3", "band:0-1000"),
    ],
)
def test_equal_corruptions_have_one_text(text: str, written: str) -> None:
    assert str(sound(text)) == written
    assert sound(text) == sound(written)


def test_a_path_may_hold_commas(recordings: Path) -> None:
    text = f"snr:5,noise=folder:{recordings} | gain:1"
    assert str(sound(text)) == text
    assert "," in recordings.name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("snr:5,noise=pinc", "unknown noise 'pinc', did you mean 'pink'"),
        ("snr:5,nois=pink", "unknown option of snr 'nois', did you mean 'noise'"),
        ("snr:5,noise=pink,noise=white", "corruption snr has option noise twice"),
        ("snr:5,pink", "snr needs dB, any number, got '5,pink': write snr:VALUE"),
        ("snr:5,noise=pink,hz=60", "option hz belongs to noise=hum, got it with noise=pink"),
        ("snr:5,noise=hum,hz=4000", "option hz needs Hz above 0 and below 4000, got '4000'"),
        ("snr:5,noise=hum,hz=high", "got 'high'"),
        ("snr:5,noise=pink:x", "noise=pink takes nothing after a colon, got 'pink:x'"),
        ("snr:5,noise=folder", "noise=folder needs a folder of recordings, got ''"),
        ("snr:5,noise=folder:/no/such", "noise=folder needs a folder of recordings, got '/no/such'"),
        ("gain:6,noise=pink", "corruption gain takes no options, got 'noise'"),
        ("drop:0.1,x=1", "corruption drop takes no options, got 'x'"),
        ("band:300", "band needs two Hz from 0 to 4000, the lower one first, got '300': write band:LOW-HIGH"),
        ("band:3400-300", "got '3400-300'"),
        ("band:300-4001", "got '300-4001'"),
        ("band:300-3400-1", "got '300-3400-1'"),
        ("clip:1.5", "clip needs ratio of the peak from 0 to 1, got '1.5'"),
        ("reverb:-1", "reverb needs seconds >= 0, got '-1'"),
        ("reverv:1", "did you mean 'reverb'"),
        ("blur:1", "unknown corruption 'blur'"),
    ],
)
def test_a_mistake_is_named(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        sound(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["band:300-3400", "reverb:0.2", "drop:0.1", "snr:5,noise=hum", "snr:5,noise=folder:."])
def test_what_needs_the_sample_rate_is_refused_without_it(text: str) -> None:
    with pytest.raises(UserError, match="needs to know the sample rate"):
        parse(text, "audio")


def test_what_does_without_the_sample_rate_joins_what_does_not() -> None:
    joined = parse("snr:5,noise=pink", "audio") | sound("band:300-3400")
    assert joined == sound("snr:5,noise=pink | band:300-3400")
    with pytest.raises(ValueError, match="at 8000 and at 16000 Hz"):
        sound("drop:0.1") | parse("drop:0.1", "audio", 16000)


# -- on clips


@pytest.mark.parametrize("text", EACH)
def test_each_keeps_shape_type_and_padding_and_repeats_with_its_seed(text: str) -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        x = clips(dtype)
        before, state = x.clone(), torch.get_rng_state()
        y = sound(text)(x, length=LENGTHS, generator=rng(3))
        assert (y.shape, y.dtype) == (x.shape, x.dtype)
        assert torch.equal(y, sound(text)(x, length=LENGTHS, generator=rng(3)))
        assert torch.equal(state, torch.get_rng_state())
        assert torch.equal(x, before)
        for row, before_row, length in zip(y, x, LENGTHS.tolist(), strict=True):
            assert not row[:, length:].any()
            assert length < 200 or not torch.equal(row, before_row)


@pytest.mark.parametrize("text", EACH)
def test_each_can_be_differentiated(text: str) -> None:
    x = clips(torch.float64, torch.tensor([12, 7, 9, 12, 10])).mul_(10).requires_grad_()
    lengths = torch.tensor([12, 7, 9, 12, 10])
    assert torch.autograd.gradcheck(lambda x: sound(text)(x, length=lengths, generator=rng()), x, fast_mode=True)


@pytest.mark.parametrize("decibels", [-10.0, 0.0, 5.0, 30.0])
@pytest.mark.parametrize("name", NAMES)
def test_snr_is_exact_for_each_clip_over_its_true_length(name: str, decibels: float) -> None:
    x = clips()
    y = sound(f"snr:{decibels},noise={name}")(x, length=LENGTHS, generator=rng(2))
    torch.testing.assert_close(measured_snr(x, y), torch.full((5,), decibels).double(), atol=1e-3, rtol=0)


def test_snr_of_recorded_noise_is_exact_and_its_tones_are_those_of_the_files(recordings: Path) -> None:
    lengths = torch.full((24,), 4000)
    x = 0.1 * torch.randn(24, 1, 4000, generator=rng(5))
    y = sound(f"snr:-10,noise=folder:{recordings}")(x, length=lengths, generator=rng())
    torch.testing.assert_close(measured_snr(x, y, lengths), torch.full((24,), -10.0).double(), atol=1e-3, rtol=0)
    peaks = torch.fft.rfft((y - x)[:, 0] * torch.hann_window(4000)).abs().argmax(1) * 2
    assert set(peaks.tolist()) == {1000, 2000}
    assert len(y.unique(dim=0)) == 24


def test_a_folder_without_sound_and_a_broken_recording_are_named(
    tmp_path: Path, recordings: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UserError, match=f"found no recording in {tmp_path}"):
        sound(f"snr:5,noise=folder:{tmp_path}")(clips(), generator=rng())
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "broken.wav").write_text("no sound at all")
    (mixed / "whole.wav").write_bytes((recordings / "short.wav").read_bytes())
    y = sound(f"snr:5,noise=folder:{mixed}")(clips(), length=LENGTHS, generator=rng())
    torch.testing.assert_close(measured_snr(clips(), y), torch.full((5,), 5.0).double(), atol=1e-3, rtol=0)
    assert "broken.wav" in caplog.text


def test_the_ratio_holds_where_the_recording_is_silent(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "pause.wav", np.zeros(RATE), RATE)
    y = sound(f"snr:5,noise=folder:{tmp_path}")(clips(), length=LENGTHS, generator=rng())
    torch.testing.assert_close(measured_snr(clips(), y), torch.full((5,), 5.0).double(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_silent_clip_gets_no_noise_and_a_finite_gradient(name: str) -> None:
    x = clips()
    x[1] = 0
    x.requires_grad_()
    y = sound(f"snr:5,noise={name}")(x, length=LENGTHS, generator=rng())
    y.square().sum().backward()
    assert y[1].abs().max() < 1e-15
    assert x.grad.isfinite().all()


def test_without_lengths_all_of_a_clip_counts() -> None:
    x = clips()
    full = torch.full((5,), x.shape[2])
    y = sound("snr:5,noise=brown")(x, generator=rng())
    assert torch.equal(y, sound("snr:5,noise=brown")(x, length=full, generator=rng()))
    torch.testing.assert_close(measured_snr(x, y, full), full.new_full((5,), 5).double(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("lengths", [torch.tensor([1, 2]), torch.tensor([0, 1, 1, 1, 1]), torch.full((5,), 4001)])
def test_lengths_that_do_not_fit_are_refused(lengths: Tensor) -> None:
    with pytest.raises(ValueError, match=r"must be \(5,\), from 1 to 4000"):
        sound("gain:6")(clips(), length=lengths)


def test_only_sound_has_lengths_and_sound_is_one_channel_of_samples() -> None:
    with pytest.raises(ValueError, match="only sound and sequences have lengths"):
        parse("flip")(torch.zeros(1, 1, 4, 4), length=torch.ones(1).long(), generator=rng())
    with pytest.raises(ValueError, match=r"need clips \(N, 1, T\), got \(2, 2, 9\)"):
        sound("gain:6")(torch.zeros(2, 2, 9))


# -- each by its definition


@pytest.mark.parametrize(("name", "slope"), [("white", 0.0), ("pink", -3.01), ("brown", -6.02)])
def test_long_term_spectra_fall_as_their_colour_says(name: str, slope: float) -> None:
    frequencies, density = welch(noise_of(name), RATE, nperseg=4096)
    within = (frequencies > 40) & (frequencies < 3600)
    levels = 10 * np.log10(density.mean(0)[within])
    # Weights 1/f: every octave counts alike.
    fitted = np.polyfit(np.log2(frequencies[within]), levels, 1, w=frequencies[within] ** -0.5)[0]
    assert fitted == pytest.approx(slope, abs=0.15)


@pytest.mark.parametrize(("name", "first"), [("hum", 50.0), ("hum,hz=60", 60.0)])
def test_hum_is_ten_lines_of_falling_amplitude(name: str, first: float) -> None:
    hum = noise_of(name, 2, RATE)
    spectrum = np.abs(np.fft.rfft(hum)) / (RATE / 2)  # one bin a hertz
    lines = (first * np.arange(1, 11)).astype(int)
    np.testing.assert_allclose(spectrum[:, lines] / spectrum[:, lines[:1]], [1 / np.arange(1.0, 11)] * 2, rtol=1e-4)
    assert np.delete(spectrum, lines, axis=1).max() < 1e-4
    phases = np.angle(np.fft.rfft(hum))[:, lines]
    assert np.abs(phases[0] - phases[1]).min() > 1e-3


def test_hum_stays_below_half_the_rate() -> None:
    spectrum = np.abs(np.fft.rfft(noise_of("hum,hz=1500", 2, RATE)))
    assert set(np.nonzero(spectrum[0] > 1)[0]) == {1500, 3000}


@pytest.mark.parametrize("count", [4, 5, 7, 12])
def test_babble_is_made_of_equally_loud_turned_stretches_of_other_clips(count: int) -> None:
    lengths = torch.arange(count) * 40 + 200
    place = torch.arange(int(lengths.max()))
    cycles = (torch.arange(count)[:, None] + 1) / 40
    x = (torch.arange(count) + 1.0)[:, None, None] * (2 * math.pi * cycles * place).sin()[:, None]
    x = x.double() * (place < lengths[:, None, None])
    added = (sound("snr:0,noise=babble")(x, length=lengths, generator=rng()) - x)[:, 0]
    # The lengths are whole periods of all tones, so that a turn in a circle keeps each a tone.
    basis = [f(2 * math.pi * cycles * place) for f in (torch.sin, torch.cos)]
    for clip, (row, length) in enumerate(zip(added, lengths.tolist(), strict=True)):
        power = sum((wave[:, :length].double() @ row[:length]).square() for wave in basis)
        share = power / power.sum()
        heard = share > 1e-6
        assert not heard[clip]
        assert heard.sum() == min(TALKERS[-1], count - 1)
        torch.testing.assert_close(share[heard], torch.full_like(share[heard], 1 / heard.sum()), atol=1e-3, rtol=0)


def test_babble_needs_four_clips() -> None:
    with pytest.raises(UserError, match="at least 3 other clips of a batch, got a batch of 3"):
        sound("snr:5,noise=babble")(clips()[:3], generator=rng())


def test_clicks_are_sparse_and_in_every_clip() -> None:
    clicks = noise_of("clicks", 8)
    assert (clicks != 0).mean() == pytest.approx(0.002, rel=0.1)
    short = torch.ones(50, 1, 20)
    y = sound("snr:5,noise=clicks")(short, length=torch.full((50,), 12), generator=rng())
    struck = y[:, 0, :12] != 1
    assert struck.any(1).all()
    assert struck.sum() < 60


def test_clip_cuts_at_a_share_of_each_peak() -> None:
    x = clips()
    y = sound("clip:0.5")(x, length=LENGTHS)
    peaks = x.abs().amax((1, 2))
    torch.testing.assert_close(y.abs().amax((1, 2)), 0.5 * peaks)
    below = x.abs() <= 0.5 * peaks[:, None, None]
    assert torch.equal(y[below], x[below])
    assert torch.equal(y.sign(), x.sign())
    assert torch.equal(sound("clip:1")(x), x)


def test_gain_is_the_same_for_every_clip() -> None:
    torch.testing.assert_close(sound("gain:6")(clips()), clips() * 1.99526231)
    torch.testing.assert_close(sound("gain:-20")(clips()), clips() / 10)


@pytest.mark.parametrize("edges", [(300, 3400), (0, 1000), (1000, 4000)])
def test_band_passes_what_lies_in_it_without_delay_and_stops_the_rest(edges: tuple[int, int]) -> None:
    low, high = edges
    x = torch.zeros(1, 1, 2001, dtype=torch.float64)
    x[..., 1000] = 1
    response = sound(f"band:{low}-{high}")(x)[0, 0]
    torch.testing.assert_close(response, response.flip(0), atol=1e-7, rtol=0)
    frequencies = torch.fft.rfftfreq(2001, 1 / RATE)
    decibels = 20 * torch.fft.rfft(response).abs().clamp_min(1e-9).log10()
    passed = ((frequencies > low + 50) | (low == 0)) & ((frequencies < high - 50) | (high == 4000))
    stopped = ((frequencies < low - 50) & (low > 0)) | ((frequencies > high + 50) & (high < 4000))
    assert decibels[passed].abs().max() < 0.01
    assert decibels[stopped].max() < -70
    edge = low or high
    assert decibels[(frequencies - edge).abs().argmin()].item() == pytest.approx(-6.02, abs=0.5)


def test_band_of_the_whole_spectrum_changes_nothing() -> None:
    torch.testing.assert_close(sound("band:0-4000")(clips()), clips(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("seconds", [0.2, 0.4, 1.0])
def test_reverb_dies_away_by_60_db_in_its_time(seconds: float) -> None:
    x = torch.zeros(8, 1, round(1.2 * seconds * RATE), dtype=torch.float64)
    x[..., 0] = 1
    response = sound(f"reverb:{seconds}")(x, generator=rng())[:, 0]
    torch.testing.assert_close(response[:, 0], torch.ones(8, dtype=torch.float64))
    tail = response[:, 1:].square()
    assert tail.sum(1).mean().item() == pytest.approx(1, rel=0.1)
    # Schroeder's backward integral, from -5 to -35 dB.
    remaining = response.square().flip(1).cumsum(1).flip(1)
    decibels = 10 * (remaining / remaining[:, :1]).clamp_min(1e-12).log10()
    for curve in decibels.numpy():
        part = np.nonzero((curve <= -5) & (curve >= -35))[0]
        fall = np.polyfit(part / RATE, curve[part], 1)[0]
        assert -60 / fall == pytest.approx(seconds, rel=0.1)
    assert len(response.unique(dim=0)) == 8


def test_reverb_of_no_time_is_the_clip_itself() -> None:
    torch.testing.assert_close(sound("reverb:0")(clips(), generator=rng()), clips(), atol=1e-6, rtol=0)


def test_reverb_is_a_convolution_cut_to_the_length() -> None:
    x, lengths = clips(torch.float64), LENGTHS
    unit = torch.zeros_like(x)
    unit[..., 0] = 1
    responses = sound("reverb:0.1")(unit, generator=rng())[:, 0].numpy()
    y = sound("reverb:0.1")(x, length=lengths, generator=rng())
    for row, clip, response, length in zip(y, x, responses, lengths.tolist(), strict=True):
        expected = np.convolve(clip[0, :length].numpy(), response)[:length]
        np.testing.assert_allclose(row[0, :length], expected, atol=1e-9)


def test_drop_loses_whole_frames_of_20_ms_at_its_rate() -> None:
    y = sound("drop:0.3")(torch.ones(64, 1, 16000), generator=rng())
    frames = y.view(64, -1, 160)
    assert torch.equal(frames.amin(2), frames.amax(2))
    assert (frames == 0).double().mean().item() == pytest.approx(0.3, abs=0.02)


def test_steps_act_from_left_to_right_on_what_the_former_left() -> None:
    x = clips()
    first, second = sound("gain:20 | clip:0.5"), sound("snr:5")
    generator = rng()
    between = first(x, length=LENGTHS, generator=generator)
    y = (first | second)(x, length=LENGTHS, generator=rng())
    assert torch.equal(y, second(between, length=LENGTHS, generator=generator))
    torch.testing.assert_close(measured_snr(between, y), torch.full((5,), 5.0).double(), atol=1e-3, rtol=0)
