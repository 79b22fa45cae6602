import pytest
import torch
from torch import Tensor

from noiseforge.errors import UserError
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


def test_nothing_that_varies_is_refused() -> None:
    with pytest.raises(UserError, match="constant"):
        Whitening(2).fit(torch.ones(10, 2))


def test_half_precision_around_it_loses_nothing() -> None:
    whitening = Whitening(5)
    whitening.fit(rows())
    with torch.autocast("cpu", torch.bfloat16):
        components = whitening(rows())
        again = whitening.restore(components)
    assert components.dtype == again.dtype == torch.float32
    torch.testing.assert_close(again, rows(), atol=1e-5, rtol=0)
