"""The players of the game on codes: noise of the right scale, and eyes for small movements."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from noiseforge.networks.mlp import MLPDiscriminator
from noiseforge.networks.sequence.codes import PATCH, TEXTURES, WAVES, CodeDiscriminator, Swelling, Textures

STEPS = 32


def drawn(module: MLPDiscriminator | CodeDiscriminator) -> None:
    module.initialise(torch.Generator().manual_seed(0))


def textures(steps: int = STEPS, channels: int = 1) -> Textures:
    found = Textures(steps, channels)
    rng = torch.Generator().manual_seed(0)
    for weight in found.parameters():
        weight.data = torch.randn(weight.shape, generator=rng) / 4
    return found


def discriminator(packing: int = 1, classes: int = 0) -> CodeDiscriminator:
    eyes = textures()
    network = MLPDiscriminator((STEPS + eyes.numbers,), hidden=(64, 64), packing=packing, classes=classes)
    drawn(network)
    whole = CodeDiscriminator(network, eyes, lambda code: code.unsqueeze(2), STEPS)
    drawn(whole)
    return whole


def series(n: int, *, rough: float, seed: int) -> Tensor:
    """Slow trends, and of each step a small share that goes up and down."""
    rng = torch.Generator().manual_seed(seed)
    trend = (torch.arange(STEPS) / STEPS) * torch.randn(n, 1, generator=rng) + torch.randn(n, 1, generator=rng)
    return trend + rough * torch.randn(n, STEPS, generator=rng)


@pytest.mark.parametrize(("steps", "layers"), [(1, 0), (2, 1), (4, 1), (5, 2), (24, 3), (256, 4), (257, 5)])
def test_textures_take_series_of_any_length(steps: int, layers: int) -> None:
    eyes = Textures(steps, 3)
    assert eyes.numbers == layers * TEXTURES
    assert eyes(torch.randn(5, steps, 3)).shape == (5, eyes.numbers)


def test_textures_are_the_same_whenever_something_happens() -> None:
    x = torch.zeros(2, STEPS, 1)
    x[0, 6], x[1, 6 + 2 * PATCH] = 1.0, 1.0
    early, late = textures()(x)[:, :TEXTURES]
    torch.testing.assert_close(early, late)
    assert bool((early - textures()(torch.zeros(1, STEPS, 1))[0, :TEXTURES]).abs().max() > 0.01)


def test_steps_are_seen_on_a_scale_of_their_own_and_what_stands_still_is_not_blown_up() -> None:
    eyes = Textures(STEPS, 2)
    moving = series(500, rough=1e-3, seed=0).unsqueeze(2)
    eyes.fit(torch.cat([moving, torch.ones_like(moving) + 1e-7 * moving], 2))
    steps = moving.diff(dim=1) * eyes.scale[0]
    assert float(steps.square().mean()) == pytest.approx(1, rel=1e-4)
    assert float(eyes.scale[1]) == 0


@pytest.mark.parametrize(("steps", "waves"), [(1, 0), (5, 2), (24, 12), (256, WAVES)])
def test_a_component_swells_and_calms_and_no_other_does(steps: int, waves: int) -> None:
    swelling, x = Swelling(steps, 2), torch.ones(3, steps, 2)
    assert swelling.numbers == 2 * waves
    swells = torch.zeros(3, 2 * waves)
    assert torch.equal(swelling(x, swells), x)
    swells[0, :1] = 9.0
    swollen = swelling(x, swells)
    assert torch.equal(swollen[1:], x[1:])
    assert torch.equal(swollen[0, :, 1], x[0, :, 1])
    if waves:
        first, last = swollen[0, 0, 0].log(), swollen[0, -1, 0].log()
        torch.testing.assert_close(torch.stack([first, last]), torch.tensor([1.0, -1.0]), atol=1e-3, rtol=0)


def told_apart(judge: nn.Module) -> float:
    """Share of fresh series that a judge names rightly, trained under the penalty of a game."""
    optimiser = torch.optim.Adam(judge.parameters(), lr=1e-3, betas=(0.0, 0.99))
    for step in range(150):
        both = torch.cat([series(64, rough=0.02, seed=2 * step), series(64, rough=0.005, seed=2 * step + 1)])
        both.requires_grad_()
        logits = judge(both)
        (slope,) = torch.autograd.grad(logits.sum(), both, create_graph=True)
        real, fake = logits.chunk(2)
        (softplus(fake - real).mean() + 0.1 * slope.square().sum(1).mean()).backward()
        optimiser.step()
        optimiser.zero_grad()
    with torch.no_grad():
        real, fake = (judge(series(500, rough=rough, seed=10_000)) for rough in (0.02, 0.005))
    return float((real > fake).float().mean())


def test_small_movements_beside_large_trends_are_seen_under_a_penalty() -> None:
    seeing = discriminator()
    seeing.textures.fit(series(500, rough=0.02, seed=0).unsqueeze(2))
    blind = MLPDiscriminator((STEPS,), hidden=(64, 64))
    drawn(blind)
    assert told_apart(seeing) > 0.85
    assert told_apart(blind) < 0.65


def test_packs_are_judged_by_the_codes_in_them_and_labels_count() -> None:
    judge, x = discriminator(packing=2), series(6, rough=0.1, seed=0)
    logits = judge(x.reshape(3, -1))
    assert logits.shape == (3,)
    torch.testing.assert_close(judge(x[2:4].reshape(1, -1)), logits[1:2])
    changed = x.clone()
    changed[3, 5] += 1
    assert bool((judge(changed.reshape(3, -1)) != logits).tolist() == [False, True, False])
    labelled = discriminator(classes=2)
    assert not torch.equal(labelled(x, torch.zeros(6, dtype=torch.long)), labelled(x, torch.ones(6, dtype=torch.long)))
    assert labelled.features(x).shape == (6, 64)
