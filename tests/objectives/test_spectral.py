import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from noiseforge.objectives import spectral

MEL_VALUES = json.loads(Path(__file__).with_name("mel_values.json").read_text())["values"]
LENGTHS = torch.tensor([1000, 517, 128, 129, 90, 1])


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clips(count: int, length: int = 1000, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, length, generator=rng(7), dtype=dtype)


def tone(hertz: float, sample_rate: int = 8000, length: int = 4000) -> Tensor:
    return (2 * math.pi * hertz * torch.arange(length, dtype=torch.float64) / sample_rate).sin()[None]


def padded(count: int = len(LENGTHS)) -> tuple[Tensor, Tensor]:
    """Clips of LENGTHS with something in the padding that must not count, and the same again."""
    return clips(count), clips(count).roll(1, 0) + 0.3


# -- mel


@pytest.mark.parametrize("stored", MEL_VALUES, ids=lambda stored: "-".join(map(str, stored["case"].values())))
def test_the_filterbank_is_librosas(stored: dict) -> None:
    case = stored["case"]
    bank = spectral.mel_filterbank(
        case["sr"], case["n_fft"], case["n_mels"], low=case.get("fmin", 0.0), high=case.get("fmax")
    )
    expected = torch.zeros(case["n_mels"], case["n_fft"] // 2 + 1)
    for row, (first, values) in zip(expected, stored["triangles"], strict=True):
        row[first : first + len(values)] = torch.tensor(values)
    assert (bank.dtype, bank.shape) == (torch.float32, expected.shape)
    assert expected.sum() > 0
    torch.testing.assert_close(bank, expected, atol=1e-7, rtol=1e-5)


def test_a_triangle_has_area_one() -> None:
    bank = spectral.mel_filterbank(16000, 8192, 20)
    torch.testing.assert_close(bank.sum(1) * 16000 / 8192, torch.ones(20), atol=2e-3, rtol=0)


@pytest.mark.parametrize(("low", "high", "mels"), [(-1, None, 8), (0, 4001, 8), (500, 500, 8), (0, None, 0)])
def test_a_filterbank_beyond_the_spectrum_is_refused(low: float, high: float | None, mels: int) -> None:
    with pytest.raises(ValueError, match="0 <= low < high <= sample_rate / 2 = 4000"):
        spectral.mel_filterbank(8000, 256, mels, low=low, high=high)


def test_log_mel_of_a_tone_peaks_in_its_band_and_follows_its_amplitude() -> None:
    x = tone(1000)
    mel = spectral.log_mel(x, 8000)
    assert mel.shape == (1, 64, 1 + 4000 // 80)
    assert spectral.mel_filterbank(8000, 256, 64)[:, 32].argmax() == mel[0, :, 20].argmax()
    top = mel[0, :, 20].amax()
    assert (spectral.log_mel(10 * x, 8000)[0, :, 20].amax() - top).item() == pytest.approx(math.log(10), abs=1e-9)
    torch.testing.assert_close(spectral.log_mel(0 * x, 8000), torch.full_like(mel, math.log(1e-5)))


# -- magnitudes


def test_magnitude_is_the_fourier_transform_of_windowed_frames() -> None:
    x = clips(2, 300)
    n_fft, hop = 64, 24
    magnitude = spectral.stft_magnitude(x, n_fft, hop)
    assert magnitude.shape == (2, 33, 1 + 300 // hop)
    window = 0.5 - 0.5 * (2 * math.pi * torch.arange(n_fft, dtype=torch.float64) / n_fft).cos()
    mirrored = torch.cat([x[:, 1:33].flip(1), x, x[:, -33:-1].flip(1)], 1)
    for frame in (0, 5, 300 // hop):
        part = mirrored[:, frame * hop : frame * hop + n_fft]
        torch.testing.assert_close(magnitude[:, :, frame], torch.fft.rfft(part * window).abs())


@pytest.mark.parametrize(("n_fft", "hop"), [(256, 80), (64, 33), (512, 512)])
def test_a_clip_in_a_padded_batch_has_the_spectrum_it_has_alone(n_fft: int, hop: int) -> None:
    x, _ = padded()
    together = spectral.stft_magnitude(x, n_fft, hop, length=LENGTHS)
    for row, clip, length in zip(together, x, LENGTHS.tolist(), strict=True):
        alone = spectral.stft_magnitude(clip[None, :length], n_fft, hop)[0]
        assert alone.shape[1] == 1 + length // hop
        torch.testing.assert_close(row[:, : alone.shape[1]], alone)
        assert not row[:, alone.shape[1] :].any()


def test_half_precision_is_computed_in_float32_under_autocast_too() -> None:
    x = clips(2).bfloat16()
    expected = spectral.log_mel(x.float(), 8000)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(spectral.log_mel(x, 8000), expected, atol=0, rtol=0)


def test_magnitude_has_a_gradient_and_a_finite_one_in_silence() -> None:
    x = clips(2, 40).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: spectral.stft_magnitude(x, 16, 7), x, fast_mode=True)
    silent = torch.zeros(1, 40, requires_grad=True)
    spectral.log_mel(silent, 8000).sum().backward()
    assert silent.grad.isfinite().all()


@pytest.mark.parametrize(("shape", "n_fft", "hop"), [((1, 1, 9), 4, 2), ((1, 9), 5, 2), ((1, 9), 4, 0)])
def test_what_has_no_spectrum_is_refused(shape: tuple[int, ...], n_fft: int, hop: int) -> None:
    with pytest.raises(ValueError, match="stft_magnitude needs clips"):
        spectral.stft_magnitude(torch.zeros(shape), n_fft, hop)


# -- distances

DISTANCES = {
    "multi-resolution STFT": spectral.multi_resolution_stft,
    "SI-SDR": spectral.signal_to_distortion,
    "log-spectral distance": spectral.log_spectral_distance,
}


@pytest.mark.parametrize("name", DISTANCES)
def test_padding_changes_no_distance(name: str) -> None:
    keep = slice(0, 5)  # of a single sample there is no SI-SDR
    (x, y), lengths = padded(5), LENGTHS[keep]
    together = DISTANCES[name](x, y, length=lengths)
    pairs = [DISTANCES[name](x[i : i + 1, :n], y[i : i + 1, :n]) for i, n in enumerate(lengths.tolist())]
    torch.testing.assert_close(together, torch.cat(pairs))
    assert together.unique().numel() == 5


@pytest.mark.parametrize("name", DISTANCES)
def test_each_distance_has_a_gradient_and_asks_for_equal_shapes(name: str) -> None:
    x, y = clips(2, 40).requires_grad_(), clips(2, 40).flip(0)
    assert torch.autograd.gradcheck(lambda x: DISTANCES[name](x, y), x, fast_mode=True)
    with pytest.raises(ValueError, match=r"one shape \(N, T\), got \(2, 40\) and \(1, 40\)"):
        DISTANCES[name](x, y[:1])


def test_a_louder_copy_is_as_far_as_its_gain_says() -> None:
    y = clips(3)
    magnitude = spectral.stft_magnitude(y, 128, 32)
    for gain in (2.0, 0.25):
        expected = torch.full((3,), abs(gain - 1), dtype=torch.float64)
        torch.testing.assert_close(spectral.spectral_convergence(gain * magnitude, magnitude), expected)
        logs = torch.full((3,), abs(math.log(gain)), dtype=torch.float64)
        torch.testing.assert_close(spectral.log_magnitude_distance(gain * magnitude, magnitude), logs)
        torch.testing.assert_close(spectral.multi_resolution_stft(gain * y, y), expected + logs)
        decibels = torch.full((3,), abs(20 * math.log10(gain)), dtype=torch.float64)
        torch.testing.assert_close(spectral.log_spectral_distance(gain * y, y), decibels)


def test_log_spectral_distance_takes_the_root_over_bins_within_a_frame() -> None:
    x, y = clips(1, 256), clips(2, 256)[1:]
    levels = [20 * spectral.stft_magnitude(z, 256, 64).log10() for z in (x, y)]
    expected = (levels[0] - levels[1]).square().mean(1).sqrt().mean(1)
    torch.testing.assert_close(spectral.log_spectral_distance(x, y), expected)


@pytest.mark.parametrize("decibels", [-20.0, 0.0, 35.0])
def test_sdr_of_orthogonal_noise_is_its_ratio_at_any_scale_and_offset(decibels: float) -> None:
    y, noise = tone(500), tone(750)
    x = y + noise * 10 ** (-decibels / 20)
    for estimate in (x, -3 * x + 0.7, 1e-3 * x.float()):
        assert spectral.signal_to_distortion(estimate, y + 2).item() == pytest.approx(decibels, abs=1e-4)


def test_sdr_has_its_best_for_the_target_and_its_worst_for_nothing() -> None:
    y = clips(1)
    assert spectral.signal_to_distortion(2 * y, y).item() > 280
    assert spectral.signal_to_distortion(0 * y, y).item() < -280
