"""A vocoder makes the clips that it is given, each by its own frames and as long as it was."""

from typing import Any

import pytest
import torch
from tests.models.test_wavenet import SMALL, SPEC

from noiseforge.data.spec import Batch
from noiseforge.errors import UserError
from noiseforge.models import build_model
from noiseforge.models.vocoder import Vocoder
from noiseforge.models.wavenet import WaveNet
from noiseforge.recipes.schema import WaveNetSettings

LENGTH, Y, SPEAKER = torch.tensor([300, 60, 121, 7]), torch.tensor([0, 1, 2, 1]), torch.tensor([0, 1, 0, 1])
KINDS = {"mel": ("mel",), "all": ("label", "speaker", "progress", "mel")}


def model(*conditions: str, **changes: Any) -> Vocoder:
    settings = {**SMALL, "condition_on": conditions, "mels": 6, **changes}
    rng = torch.Generator().manual_seed(0)
    made = build_model(WaveNetSettings.model_validate(settings), SPEC, rng)
    assert isinstance(made, Vocoder)
    for parameter in made.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=rng)
    return made.eval()


@pytest.fixture
def x() -> torch.Tensor:
    """One loud noise, a soft one, a tone and a blip."""
    rng, time = torch.Generator().manual_seed(1), torch.arange(300)
    clips = torch.rand(4, 1, 300, generator=rng) - 0.5
    clips[1] *= 0.02
    clips[2] = 0.5 * (time * 0.4).sin()
    return clips * (time < LENGTH[:, None, None])


@pytest.mark.parametrize("name", KINDS)
def test_clips_come_back_as_long_as_they_were_whatever_is_beside_them(name: str, x: torch.Tensor) -> None:
    made, rng = model(*KINDS[name]), torch.Generator().manual_seed
    first = made.resynthesise(x, LENGTH, Y, SPEAKER, generator=rng(3), path="queues")
    assert first.y is Y and first.speaker is SPEAKER and torch.equal(first.length, LENGTH)  # type: ignore[arg-type]
    assert bool((first.x[torch.arange(300).expand(4, 1, -1) >= LENGTH[:, None, None]] == 0).all())
    again = made.resynthesise(x, LENGTH, Y, SPEAKER, generator=rng(3), path="naive")
    assert torch.equal(first.x, again.x)
    alone = made.resynthesise(x[:2, :, :300], LENGTH[:2], Y[:2], SPEAKER[:2], generator=rng(3), path="queues")
    assert torch.equal(alone.x, first.x[:2])
    cut = made.resynthesise(x[1:2, :, :60], None, Y[1:2], SPEAKER[1:2], generator=rng(3), path="queues")
    padded = made.resynthesise(x[1:2], LENGTH[1:2], Y[1:2], SPEAKER[1:2], generator=rng(3), path="queues")
    assert torch.equal(cut.x, padded.x) and cut.x.shape == (1, 1, 60)
    other = made.resynthesise(x, LENGTH, Y, SPEAKER, generator=rng(4), path="queues")
    assert not torch.equal(first.x, other.x)


def test_each_clip_follows_its_own_frames(x: torch.Tensor) -> None:
    """What is made costs less where it is told the frames that it was made by than where it is told others."""
    made = model("mel")
    whole = torch.full((4,), 300)
    clips = torch.cat([x[:1], x[:1].flip(2) * 0.01, x[2:3], torch.zeros(1, 1, 300)])
    drawn = made.resynthesise(clips, whole, generator=torch.Generator().manual_seed(0))
    values = made.values(drawn.x[:, 0])
    before = torch.cat([torch.full((4, 1), made.start), values[:, :-1]], 1)

    def cost(given: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            told = made._told(Batch(given, None, whole), torch.zeros(4, dtype=torch.int64), 300)
            return made.negative_log_likelihood(made.network(before, told), values).sum(1)

    own = cost(clips)
    for turn in (1, 2, 3):
        assert bool((own < cost(clips.roll(turn, 0))).all())


def test_the_distribution_while_generating_is_that_of_training(x: torch.Tensor) -> None:
    made = model("mel", "progress")
    batch = Batch(x, Y, LENGTH, SPEAKER)
    parameters = made.stepped(batch, path="queues")
    known = torch.arange(300) < LENGTH[:, None]
    nats = made.negative_log_likelihood(parameters, made.values(x[:, 0])) * known
    torch.testing.assert_close(nats, made.nats(batch), atol=2e-4, rtol=1e-4)


def test_what_it_cannot_make_is_refused_in_one_line(x: torch.Tensor) -> None:
    made = model("mel", "label")
    for draw in (lambda: made.clips(2), lambda: made.sample(2, label=1)):
        with pytest.raises(UserError, match="noiseforge reconstruct"):
            draw()
    with pytest.raises(UserError, match="conditioned on the label"):
        made.resynthesise(x, LENGTH)
    for wrong in (x[:, 0], x[:0], x.expand(4, 2, 300)):
        with pytest.raises(UserError, match="clips"):
            made.resynthesise(wrong, y=Y[: len(wrong)])
    free = build_model(WaveNetSettings.model_validate(SMALL), SPEC, torch.Generator())
    assert type(free) is WaveNet and not hasattr(free, "resynthesise")
