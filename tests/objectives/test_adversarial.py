import math

import pytest
import torch

from noiseforge.objectives.adversarial import LOSSES, feature_matching, relativistic_generator

LOGITS = [(-3.0, 2.0), (0.0, 0.0), (0.5, -1.5)]
sigmoid = {value: 1 / (1 + math.exp(-value)) for pair in LOGITS for value in pair}

CLOSED_FORMS = {
    "minimax": (
        lambda r, f: -math.log(sigmoid[r]) - math.log(1 - sigmoid[f]),
        lambda r, f: math.log(1 - sigmoid[f]),
    ),
    "nonsaturating": (
        lambda r, f: -math.log(sigmoid[r]) - math.log(1 - sigmoid[f]),
        lambda r, f: -math.log(sigmoid[f]),
    ),
    "leastsquares": (lambda r, f: ((r - 1) ** 2 + f**2) / 2, lambda r, f: (f - 1) ** 2 / 2),
    "hinge": (lambda r, f: max(0, 1 - r) + max(0, 1 + f), lambda r, f: -f),
    "wasserstein": (lambda r, f: f - r, lambda r, f: -f),
    "relativistic": (
        lambda r, f: -math.log(1 / (1 + math.exp(f - r))),
        lambda r, f: -math.log(1 / (1 + math.exp(r - f))),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_closed_form_is_met_sample_by_sample(name: str) -> None:
    real, fake = torch.tensor(LOGITS, dtype=torch.float64).T
    for function, expected in zip(LOSSES[name][:2], CLOSED_FORMS[name], strict=True):
        torch.testing.assert_close(function(real, fake), real.new_tensor([expected(*pair) for pair in LOGITS]))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("magnitude", [1e4, -1e4])
def test_extreme_logits_give_finite_losses_and_slopes(name: str, magnitude: float) -> None:
    real = torch.tensor([magnitude], requires_grad=True)
    fake = torch.tensor([-magnitude], requires_grad=True)
    for function in LOSSES[name][:2]:
        loss = function(real, fake).sum()
        slopes = torch.autograd.grad(loss, [real, fake], allow_unused=True)
        assert loss.isfinite()
        assert all(slope.isfinite().all() for slope in slopes if slope is not None)


@pytest.mark.parametrize("name", LOSSES)
def test_the_players_pull_the_generated_logits_apart(name: str) -> None:
    real, fake = torch.zeros(3), torch.full((3,), 0.1, requires_grad=True)
    slopes = [torch.autograd.grad(function(real, fake).sum(), fake)[0] for function in LOSSES[name][:2]]
    assert (slopes[0] > 0).all()
    assert (slopes[1] < 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_batches_that_would_broadcast_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"one shape \(N,\), got \(4,\) and \(4, 1\)"):
        LOSSES[name].discriminator(torch.zeros(4), torch.zeros(4, 1))


@pytest.mark.parametrize("name", LOSSES)
def test_only_a_paired_loss_needs_the_real_logits_for_the_generator(name: str) -> None:
    if LOSSES[name].paired:
        with pytest.raises(ValueError, match="real batch"):
            relativistic_generator(None, torch.zeros(4))
    else:
        assert LOSSES[name].generator(None, torch.zeros(4)).shape == (4,)


def test_feature_matching_moves_the_generated_mean_alone() -> None:
    real = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    fake = torch.zeros(4, 2, requires_grad=True)
    loss = feature_matching(real, fake)
    loss.backward()
    assert loss == 2**2 + 3**2
    assert real.grad is None
    torch.testing.assert_close(fake.grad, torch.tensor([[-1.0, -1.5]]).expand(4, 2))
