"""What a causal network is told beside the past: frames of a clip, whatever shares its batch."""

import math

import pytest
import torch

from noiseforge.networks.wavenet.conditioner import mel_frames, mel_window
from noiseforge.objectives.spectral import mel_filterbank


@pytest.mark.parametrize(("hop", "window"), [(1, 4), (10, 64), (64, 256), (80, 512), (160, 1024)])
def test_a_window_is_the_least_power_of_two_over_four_frames(hop: int, window: int) -> None:
    assert mel_window(hop) == window


def test_an_impulse_is_heard_in_its_frame_at_its_magnitude() -> None:
    """Its spectrum is flat, of the height that it has times the window's, which is 1 in the middle."""
    x, length = torch.zeros(1, 1200), torch.tensor([1200])
    x[0, 480] = 0.3
    heard = mel_frames(x, length, 15, 80, 8000, 20)[0]
    magnitude = 0.3 * mel_filterbank(8000, 512, 20).sum(1)
    torch.testing.assert_close(heard[6], 1 - 2 * magnitude.log() / math.log(1e-5))
    assert bool((heard[3:10] > -1).all()) and bool((heard[:3] == -1).all()) and bool((heard[10:] == -1).all())


@pytest.mark.parametrize("length", [400, 399, 121, 32, 33, 7, 1])
def test_frames_do_not_depend_on_padding_or_on_the_batch(length: int) -> None:
    x = torch.rand(3, 400, generator=torch.Generator().manual_seed(0)) - 0.5
    lengths = torch.tensor([400, length, 50])
    padded = x * (torch.arange(400) < lengths[:, None])
    own = 1 + length // 10
    alone = mel_frames(x[1:2, :length], lengths[1:2], own, 10, 1000, 6)
    for clips in (padded, x):  # what stands after the end is not heard, whatever it is
        together = mel_frames(clips, lengths, 50, 10, 1000, 6)
        torch.testing.assert_close(together[1, :own], alone[0])
        assert bool((together[1, own:] == -1).all())
    assert bool((alone > -1).any())
