"""WaveNet: crops cost what whole clips cost, generation follows the likelihood, and what is asked for is made."""

from typing import Any

import pytest
import torch

from noiseforge.data.spec import Batch, Spec
from noiseforge.errors import UserError
from noiseforge.models.wavenet import WaveNet
from noiseforge.recipes.schema import WaveNetSettings

SPEC = Spec(
    source="four clips",
    modality="audio",
    shape=(1, 300),
    classes=("zero", "one", "two"),
    speakers=("ann", "bob"),
    sample_rate=1000,
    fingerprint="",
)
SMALL = {"dilations": (1, 2, 4), "stacks": 2, "residual": 8, "gate": 8, "skip": 16, "crop": 60, "hop": 10}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "label and speaker": {"condition_on": ("label", "speaker")},
    "progress, 3 taps": {"condition_on": ("label", "progress"), "kernel": 3, "dilations": (1, 3)},
    "logistics": {"output": "logistics", "levels": 65536, "components": 3, "condition_on": ("speaker",)},
    "weight norm": {"weight_norm": True, "levels": 64},
    "mel": {"condition_on": ("mel",), "mels": 6},
    "all": {"condition_on": ("mel", "label", "progress", "speaker"), "mels": 8, "kernel": 3, "dilations": (1, 3)},
}
OF_ITS_OWN = [name for name, settings in KINDS.items() if "mel" not in settings.get("condition_on", ())]


def model(name: str, seed: int = 0) -> WaveNet:
    rng = torch.Generator().manual_seed(seed)
    made = WaveNet(WaveNetSettings.model_validate({**SMALL, **KINDS[name]}), SPEC, rng)
    for parameter in made.parameters():  # louder than it starts, so that conditions and the past are heard
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=rng)
    return made.eval()


@pytest.fixture
def batch() -> Batch:
    rng = torch.Generator().manual_seed(1)
    length = torch.tensor([300, 60, 121, 7])
    x = (torch.rand(4, 1, 300, generator=rng) - 0.5) * (torch.arange(300) < length[:, None, None])
    return Batch(x, torch.tensor([0, 1, 2, 1]), length, torch.tensor([0, 1, 0, 1]))


@pytest.mark.parametrize("name", KINDS)
def test_crops_tile_a_clip_and_cost_what_the_whole_clip_costs(name: str, batch: Batch) -> None:
    made = model(name)
    whole, covered = made.nats(batch), torch.zeros(4, 300, dtype=torch.bool)
    assert whole.shape == (4, 300) and bool((whole[1, 60:] == 0).all())
    for draw in torch.linspace(0, 0.999, 40):
        start, size = made._crop(batch.length, draw.expand(4))
        with torch.inference_mode():
            nats, known = made._nats(batch, start, size)
        assert size == 60 and bool((start % 10 == 0).all())
        place = start[:, None] + torch.arange(size)
        rows = torch.arange(4)[:, None].expand_as(place)[known]
        torch.testing.assert_close(nats[known], whole[rows, place[known]], atol=2e-4, rtol=1e-4)
        covered[rows, place[known]] = True
    assert torch.equal(covered, torch.arange(300) < batch.length[:, None])


@pytest.mark.parametrize("name", OF_ITS_OWN)
def test_what_is_generated_follows_the_likelihood(name: str) -> None:
    """A clip that a path draws by the naive window, the queues or the kernel is the same, and costs what it should."""
    made, rng = model(name), torch.Generator().manual_seed
    first = made.clips(6, generator=rng(3), path="queues")
    naive = made.clips(6, generator=rng(3), path="naive").x
    # Real numbers carry the rounding of each step on, which a loud random network enlarges.
    same, tolerance = (20, 1e-3) if made.continuous else (300, 0.0)
    torch.testing.assert_close(first.x[..., :same], naive[..., :same], atol=tolerance, rtol=0)
    assert not torch.equal(first.x[:, :, :20], made.clips(6, generator=rng(4), path="queues").x[:, :, :20])
    assert first.length is not None and bool((first.length <= 300).all())
    alone = made.clips(1, generator=rng(3), path="queues")
    assert alone.length is not None and alone.length[0] == first.length[0]
    common = min(int(alone.length[0]), same)
    torch.testing.assert_close(alone.x[0, 0, :common], first.x[0, 0, :common], atol=tolerance, rtol=0)
    drawn = Batch(first.x, first.y, first.length, first.speaker)
    surprise = made.nats(drawn).sum() / first.length.sum()
    noise = Batch(first.x.flip(0).roll(50, -1), first.y, first.length, first.speaker)
    assert surprise < made.nats(noise).sum() / first.length.sum()


def test_it_makes_the_label_the_speaker_and_the_duration_that_are_asked_for() -> None:
    made = model("label and speaker")
    made.durations[:] = torch.linspace(20, 40, 9) * (1 + torch.arange(6))[:, None]
    clips = made.clips(12)
    assert clips.y is not None and clips.speaker is not None and clips.length is not None
    assert set(zip(clips.y.tolist(), clips.speaker.tolist(), strict=True)) == {(y, s) for y in range(3) for s in (0, 1)}
    cell = clips.y * 2 + clips.speaker + 1
    assert bool((clips.length >= 20 * cell).all()) and bool((clips.length <= 40 * cell).all())
    chosen = made.clips(3, label="two", speaker="bob", seconds=0.05)
    assert chosen.y.tolist() == [2, 2, 2] and chosen.speaker.tolist() == [1, 1, 1]  # type: ignore[union-attr]
    assert chosen.length.tolist() == [50, 50, 50] and chosen.x.shape == (3, 1, 50)  # type: ignore[union-attr]
    for wrong in ({"speaker": "rob"}, {"speaker": 2}, {"seconds": 0.0}, {"label": "three"}):
        with pytest.raises(UserError):
            made.clips(2, **wrong)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="condition_on"):
        model("plain").clips(2, speaker="bob")


def test_a_recipe_that_cannot_work_is_refused_with_the_reason() -> None:
    for wrong, reason in (
        ({"crop": 20}, "whole context"),
        ({"gate": 7}, "even"),
        ({"condition_on": ("label", "label")}, "twice"),
        ({"components": 3}, "logistics"),
        ({"mels": 8}, "mel"),
    ):
        with pytest.raises(ValueError, match=reason):
            WaveNetSettings.model_validate({**SMALL, **wrong})
    pictures = SPEC.model_copy(update={"modality": "image"})
    with pytest.raises(UserError, match="sound"):
        WaveNet(WaveNetSettings(), pictures, torch.Generator())
    silent = SPEC.model_copy(update={"speakers": ()})
    with pytest.raises(UserError, match="speakers"):
        WaveNet(WaveNetSettings(condition_on=("speaker",)), silent, torch.Generator())
    for hop, mels in ((2, 40), (80, 600)):
        with pytest.raises(UserError, match=f"hop={hop} .* mels={mels} at 1000 Hz"):
            WaveNet(WaveNetSettings(condition_on=("mel",), hop=hop, mels=mels), SPEC, torch.Generator())
