import pytest
import torch
from torch import Tensor

from noiseforge.networks.sequence.whitening import Whitening


def rows(n: int = 2000) -> Tensor:
    """A common level, a small contrast, a duplicate, an exact sum, and a constant."""
    level, contrast = torch.randn(2, n, generator=torch.Generator().manual_seed(0)).unbind(0)
    close = level + 0.01 * contrast
    return torch.stack([level, close, close, level + close, torch.full((n,), 0.5)], 1)


def test_components_are_white_and_exact_dependencies_drop_out() -> None:
    whitening = Whitening(5)
    whitening.fit(rows())
    components = whitening(rows()).double()
    assert whitening.kept.tolist() == [1, 1, 0, 0, 0]
    covariance = components.T @ components / len(components)
    torch.testing.assert_close(covariance, torch.diag(whitening.kept.double()), atol=2e-3, rtol=0)


def test_what_comes_back_keeps_the_dependencies_whatever_the_components_are() -> None:
    whitening = Whitening(5)
    whitening.fit(rows())
    torch.testing.assert_close(whitening.restore(whitening(rows())), rows(), atol=1e-5, rtol=0)
    x = whitening.restore(3 * torch.randn(500, 5, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(x[:, 1], x[:, 2], atol=1e-5, rtol=0)
    torch.testing.assert_close(x[:, 0] + x[:, 1], x[:, 3], atol=1e-5, rtol=0)
    torch.testing.assert_close(x[:, 4], torch.full((500,), 0.5), atol=1e-5, rtol=0)


def test_the_smoothest_component_comes_first_and_noise_of_one_column_does_not_roughen_another() -> None:
    rng = torch.Generator().manual_seed(0)
    smooth = torch.randn(20_000, generator=rng).cumsum(0) / 100
    rough = torch.randn(20_000, generator=rng)
    x = torch.stack([smooth, smooth + 0.3 * rough, 2 * smooth + 0.3 * rough], 1)
    whitening = Whitening(3)
    whitening.fit(x, x.diff(dim=0))
    components = whitening(x)
    assert whitening.kept.tolist() == [1, 1, 0], "the third is the sum of the others"
    steps = components.diff(dim=0).T @ components.diff(dim=0) / len(x)
    assert steps[0, 0] < 0.01 * steps[1, 1]
    assert abs(steps[0, 1]) < 1e-3 * steps[1, 1]
    alone = components * torch.tensor([0.0, 1.0, 0.0])
    assert whitening.unrotated(alone)[:, 0].std() < 0.02 * whitening.unrotated(alone)[:, 1].std()
    torch.testing.assert_close(whitening.restore(components), x, atol=1e-4, rtol=0)


def test_groups_keep_components_of_their_own_unless_a_dependency_is_between_them() -> None:
    x = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0)) @ torch.tensor(
        [[1.0, 1.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 1.0]]
    )
    group = torch.tensor([0, 0, 1])
    for differences in (None, x.diff(dim=0)):
        whitening = Whitening(3)
        whitening.fit(x, differences, group)
        of_third = whitening.matrix[2].ne(0)
        assert int(of_third.sum()) == 1
        assert not whitening.matrix[:2, of_third].any()
        torch.testing.assert_close(whitening(x).std(0), torch.ones(3), atol=1e-3, rtol=0)
        torch.testing.assert_close(whitening.restore(whitening(x)), x, atol=1e-5, rtol=0)
    whole, parted = Whitening(4), Whitening(4)
    summed = torch.cat([x, x.sum(1, keepdim=True)], 1)
    whole.fit(summed)
    parted.fit(summed, None, torch.tensor([0, 0, 1, 2]))
    assert torch.equal(parted.matrix, whole.matrix)


@pytest.mark.parametrize("differences", [None, torch.zeros(9, 2)])
def test_columns_that_are_constant_give_no_component(differences: Tensor | None) -> None:
    whitening = Whitening(2)
    whitening.fit(torch.ones(10, 2), differences)
    assert not whitening.kept.any()
    assert torch.equal(whitening.restore(torch.randn(4, 2)), torch.ones(4, 2))


def test_half_precision_around_it_loses_nothing() -> None:
    whitening = Whitening(5)
    whitening.fit(rows())
    with torch.autocast("cpu", torch.bfloat16):
        components = whitening(rows())
        again = whitening.restore(components)
    assert components.dtype == again.dtype == torch.float32
    torch.testing.assert_close(again, rows(), atol=1e-5, rtol=0)
