import pytest
import torch
from torch import Tensor

from noiseforge.networks.wavenet.network import CausalNetwork

SIZES = {"residual": 6, "gate": 8, "skip": 7}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(**changes: object) -> CausalNetwork:
    settings = {"levels": 16, "outputs": 16, "dilations": (1, 2, 4), **SIZES, **changes}
    made = CausalNetwork(**settings)  # type: ignore[arg-type]
    made.initialise(rng())
    return made.eval()


def codes(n: int, length: int) -> Tensor:
    return torch.randint(16, (n, length), generator=rng(1))


@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("dilations", [(1,), (1, 2, 4), (3, 1, 5)])
def test_an_output_depends_on_its_receptive_field_and_nothing_else(kernel: int, dilations: tuple[int, ...]) -> None:
    made = network(levels=0, outputs=3, kernel=kernel, dilations=dilations, skip=64)
    field, at = made.receptive_field, 30
    assert field == (kernel - 1) * sum(dilations) + 1
    x = torch.randn(1, 40, generator=rng(2)).requires_grad_()
    made(x)[0, at].sum().backward()
    assert x.grad is not None
    heard = x.grad[0].nonzero().flatten()
    assert heard.max() == at
    assert heard.min() == at - field + 1


def test_before_the_beginning_every_layer_sees_zeros() -> None:
    """One layer by hand: the first output hears its own moment alone, the second both."""
    made = network(dilations=(1,))
    x = codes(1, 2)
    signal = made.first(x[0])
    gates = made.gates[0]

    def output(taps: Tensor) -> Tensor:
        filtered, gate = gates(taps).chunk(2)
        return made.output(made.hidden(made.skips(filtered.tanh() * gate.sigmoid()).relu()).relu())

    expected = [output(torch.cat([torch.zeros(6), signal[0]])), output(torch.cat([signal[0], signal[1]]))]
    torch.testing.assert_close(made(x)[0], torch.stack(expected))


def test_a_frame_of_the_condition_holds_for_its_hop_of_outputs() -> None:
    made, x = network(conditions=5, hop=4), codes(2, 12)
    frames = torch.randn(2, 3, 5, generator=rng(4))
    each = network(conditions=5)
    torch.testing.assert_close(made(x, frames), each(x, frames.repeat_interleave(4, 1)))
    torch.testing.assert_close(made(x, frames[:, :1]), each(x, frames[:, :1].expand(-1, 12, -1)))


def test_a_condition_is_of_the_output_s_own_moment() -> None:
    made, x = network(conditions=5), codes(1, 12)
    told = torch.zeros(1, 12, 5)
    changed = told.clone()
    changed[0, 7] = 1
    differs = (made(x, told) != made(x, changed)).any(-1)[0]
    assert not differs[:7].any()
    assert differs[7]


def test_weight_normalisation_changes_the_parameters_and_not_the_function() -> None:
    x = codes(2, 20)
    plain, normalised = network(), network(normalised=True)
    torch.testing.assert_close(plain(x), normalised(x))
    held, folded = normalised.weights(), plain.weights()
    for weight, other in zip(held.gates, folded.gates, strict=True):
        torch.testing.assert_close(weight, other)
    assert any(name.endswith("original0") for name, _ in normalised.named_parameters())


def test_dropout_is_where_it_is_drawn_alone() -> None:
    made, x = network(dropout=0.5), codes(1, 20)
    torch.testing.assert_close(made.train()(x), network()(x))
    first, again, other = (made(x, drops=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_what_is_dropped_is_made_up_for() -> None:
    """A share of the values is 0, and the mean of all stays."""
    dropped = network(dropout=0.2)._dropped(torch.ones(100, 1000), torch.Generator().manual_seed(0))
    assert dropped.unique().tolist() == [0.0, 1.25]
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.01)


def test_weights_are_float32_copies_that_hold_no_gradient() -> None:
    made = network().to(torch.bfloat16)
    weights = made.weights()
    assert weights.output.dtype == torch.float32
    assert not weights.output.requires_grad
    assert len(weights.gates) == 3
    assert len(weights.residuals) == 2


def test_a_clip_shorter_than_a_dilation_hears_zeros_before_it() -> None:
    made, x = network(dilations=(1, 16), kernel=3), codes(2, 40)
    torch.testing.assert_close(made(x[:, :5]), made(x)[:, :5])


@pytest.mark.parametrize("n", [1, 3])
def test_float32_products_by_convolution_have_the_values_and_gradients_of_linear_layers(n: int) -> None:
    made, exact = network(), network().double()
    values = [each(codes(n, 50)) for each in (made, exact)]
    torch.testing.assert_close(values[0].double(), values[1])
    for value in values:
        value.square().sum().backward()
    for one, other in zip(made.parameters(), exact.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        torch.testing.assert_close(one.grad.double(), other.grad, rtol=1e-4, atol=1e-6)
