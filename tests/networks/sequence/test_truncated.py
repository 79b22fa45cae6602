"""Truncated back-propagation against the whole one."""

import pytest
import torch
from torch import Tensor, nn

from noiseforge.networks.sequence.pooling import pool, pooled_width
from noiseforge.networks.sequence.recurrent import Read, Recurrent, State
from noiseforge.networks.sequence.truncated import Reader, pooled_in_pieces, truncated_loss

LENGTHS = torch.tensor([11, 1, 8, 5])
POOLINGS = ["last", "mean", "max", "mean_max"]


def x() -> Tensor:
    return torch.randn(4, 11, 3, generator=torch.Generator().manual_seed(1))


def networks(how: str) -> tuple[Recurrent, nn.Linear, list[nn.Parameter]]:
    reader = Recurrent(3, 5, 2, dropout=0.5)
    reader.initialise(torch.Generator().manual_seed(0))
    head = nn.Linear(pooled_width(5, how), 1)
    return reader, head, [*reader.parameters(), *head.parameters()]


def piecewise(reader: Recurrent) -> Reader:
    def read(start: int, end: int, length: Tensor, state: State | None) -> Read:
        return reader(x()[:, start:end], length, state, drops=torch.Generator().manual_seed(5))

    return read


@pytest.mark.parametrize("how", POOLINGS)
@pytest.mark.parametrize("steps", [11, 100])
def test_with_as_many_steps_as_there_are_it_is_the_whole_gradient(how: str, steps: int) -> None:
    reader, head, parameters = networks(how)
    read = reader(x(), LENGTHS, drops=torch.Generator().manual_seed(5))
    loss = head(pool(read.outputs, read.final[:, -1], LENGTHS, how)).sin().sum()
    wanted = torch.autograd.grad(loss, parameters)
    surrogate = truncated_loss(piecewise(reader), LENGTHS, steps, how, lambda v: head(v).sin().sum(), parameters)
    assert float(surrogate.detach()) == pytest.approx(float(loss.detach()), abs=1e-6)
    found = torch.autograd.grad(3 * surrogate, parameters)
    torch.testing.assert_close([g / 3 for g in found], list(wanted), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("how", POOLINGS)
def test_in_pieces_the_value_is_the_same_and_gradients_end_at_the_edges(how: str) -> None:
    reader, head, parameters = networks(how)
    outputs, finals, state = [], torch.zeros(4, 5), None
    for start in range(0, 11, 4):  # the same by hand, in one graph
        drops = torch.Generator().manual_seed(5)
        read = reader(x()[:, start : start + 4], (LENGTHS - start).clamp(1, min(4, 11 - start)), state, drops=drops)
        whole = reader(x()[:, start : start + 4], None, state, drops=torch.Generator().manual_seed(5))
        ends = LENGTHS.gt(start) & LENGTHS.le(start + 4)
        finals = torch.where(ends[:, None], read.final[:, -1], finals)
        outputs.append(whole.outputs)
        state = tuple(tuple(part.detach() for part in layer) for layer in read.state)
    loss = head(pool(torch.cat(outputs, 1), finals, LENGTHS, how)).sin().sum()
    surrogate = truncated_loss(piecewise(reader), LENGTHS, 4, how, lambda v: head(v).sin().sum(), parameters)
    assert float(surrogate.detach()) == pytest.approx(float(loss.detach()), abs=1e-6)
    found, wanted = (torch.autograd.grad(value, parameters) for value in (surrogate, loss))
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("how", POOLINGS)
def test_what_is_read_in_pieces_is_what_is_read_at_once(how: str) -> None:
    reader, _, _ = networks(how)
    read = reader(x(), LENGTHS, drops=torch.Generator().manual_seed(5))
    whole = pool(read.outputs, read.final[:, -1], LENGTHS, how)
    torch.testing.assert_close(pooled_in_pieces(piecewise(reader), LENGTHS, 3, how)[0], whole)
