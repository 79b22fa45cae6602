"""Recurrent networks against torch's own, weight for weight, and what padding and order must not change."""

import math

import pytest
import torch
from torch import Tensor, nn

from noiseforge.networks.sequence.masks import chunked, interleaved, joined, known, last_step, reverse
from noiseforge.networks.sequence.pooling import pool
from noiseforge.networks.sequence.recurrent import CELLS, Cell, Recurrent

LENGTHS = torch.tensor([9, 1, 5, 3, 9, 2, 7, 4] * 5)
SETTINGS = {
    "plain": {},
    "both ways": {"bidirectional": True, "layer_norm": True},
    "skips": {"residual": True, "dilations": (1, 2, 4)},
}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(cell: str = "lstm", **settings: object) -> Recurrent:
    network = Recurrent(3, 6, **{"layers": 2, **settings}, cell=cell)
    network.initialise(rng())
    return network


def series() -> Tensor:
    return torch.randn(len(LENGTHS), 9, 3, generator=rng(1))


def reference(network: Recurrent, cell: str) -> nn.RNNBase:
    """torch's own network with the same weights."""
    both = network.bidirectional
    theirs = CELLS[cell](3, 6, len(network.layers), batch_first=True, bidirectional=both)
    for depth, layer in enumerate(network.layers):
        for suffix, one in (("", layer.forwards), ("_reverse", layer.backwards)):
            for name, weight in one.named_parameters() if one else ():
                getattr(theirs, name.replace("l0", f"l{depth}{suffix}")).data.copy_(weight)
    return theirs


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_outputs_and_gradients_are_those_of_torch_on_packed_sequences(
    cell: str, bidirectional: bool, threads: int
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        network = built(cell, bidirectional=bidirectional)
        theirs, x = reference(network, cell), series().requires_grad_()
        read = network(x, LENGTHS)
        mine = torch.autograd.grad((read.outputs.sin().sum() + read.final.cos().sum()), [x, *network.parameters()])
    finally:
        torch.set_num_threads(before)
    packed = nn.utils.rnn.pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    outputs, state = theirs(packed)
    outputs, _ = nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)
    last = state[0] if cell == "lstm" else state
    final = last.unflatten(0, (2, -1)).permute(2, 0, 1, 3).flatten(2)
    torch.testing.assert_close(read.outputs, outputs, atol=1e-5, rtol=0)
    torch.testing.assert_close(read.final, final, atol=1e-5, rtol=0)
    wanted = torch.autograd.grad(outputs.sin().sum() + final.cos().sum(), [x, *theirs.parameters()])
    torch.testing.assert_close(mine[0], wanted[0], atol=1e-5, rtol=1e-5)
    mine_by_size, wanted_by_size = (sorted((g.numel(), float(g.norm())) for g in part[1:]) for part in (mine, wanted))
    torch.testing.assert_close(torch.tensor(mine_by_size), torch.tensor(wanted_by_size), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_padding_and_the_order_of_the_batch_change_nothing(settings: dict[str, object], cell: str) -> None:
    network, x = built(cell, **settings), series()
    read = network(x, LENGTHS)
    for row in (0, 1, 2, 3):
        alone = network(x[row : row + 1, : LENGTHS[row]])
        torch.testing.assert_close(read.outputs[row, : LENGTHS[row]], alone.outputs[0])
        torch.testing.assert_close(read.final[row], alone.final[0])
    noisy = torch.where(known(x, LENGTHS)[1], x, 1e3)
    torch.testing.assert_close(network(noisy, LENGTHS).outputs, read.outputs)
    order = torch.randperm(len(x), generator=rng(2))
    torch.testing.assert_close(network(x[order], LENGTHS[order]).final, read.final[order])
    assert read.outputs[1, 1:].abs().max() == 0


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_carried_state_goes_on_where_it_left_off(cell: str) -> None:
    network, x = built(cell, dilations=(1, 2)), series()
    first = network(x[:, :4])
    rest = network(x[:, 4:], None, first.state)
    torch.testing.assert_close(torch.cat([first.outputs, rest.outputs], 1), network(x).outputs)


def test_dilated_layers_see_every_second_step_only() -> None:
    x = series().requires_grad_()
    network = built(layers=1, dilations=(2,))
    (gradient,) = torch.autograd.grad(network(x).outputs[:, 6].sum(), x)
    assert [bool(step) for step in gradient.abs().sum((0, 2)) > 0] == [True, False] * 3 + [True, False, False]


def test_gates_begin_as_tallec_and_ollivier_have_them_and_states_orthogonal() -> None:
    network = Recurrent(4, 500)
    network.initialise(rng(), longest=1000)
    layer = network.layers[0].forwards
    i, f, g, o = layer.bias_ih_l0.detach().split(500)
    times = f.exp()
    assert 1 <= times.min() < 10 and 980 < times.max() <= 999
    assert float(times.mean()) == pytest.approx(500, rel=0.08)
    assert torch.equal(i, -f) and not g.any() and not o.any() and not layer.bias_hh_l0.any()
    network = Recurrent(4, 32, cell="gru")
    network.initialise(rng())
    layer = network.layers[0].forwards
    assert layer.bias_ih_l0.tolist() == [0.0] * 32 + [1.0] * 32 + [0.0] * 32
    for block in layer.weight_hh_l0.detach().split(32):
        torch.testing.assert_close(block @ block.T, torch.eye(32), atol=1e-5, rtol=0)


def test_uniform_weights_are_those_of_the_tutorials() -> None:
    network = Recurrent(30, 100, cell="rnn")
    network.initialise(rng(), uniform=True)
    for weight in network.parameters():
        assert 0.09 < float(weight.detach().abs().max()) <= 0.1


def test_dropout_is_the_same_at_all_steps_and_follows_its_generator() -> None:
    network, x = built(dropout=0.5), series()
    assert not network._masks(x, None)
    (mask,) = network._masks(x, rng())
    assert mask.shape == (len(x), 1, 6) and set(mask.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(network(x, drops=rng(3)).outputs, network(x, drops=rng(3)).outputs)
    assert not torch.equal(network(x, drops=rng(3)).outputs, network(x).outputs)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_gradients_have_gradients_where_that_is_asked_for(cell: str) -> None:
    network = built(cell, twice=True).double()
    x = series()[:2, :3].double().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: network(x).final.sum(), x)


def test_known_takes_nan_and_padding_for_unknown() -> None:
    x = torch.tensor([[[1.0, math.nan], [math.nan, 4.0], [5.0, 6.0]]])
    filled, there = known(x, torch.tensor([2]))
    assert filled.tolist() == [[[1, 0], [0, 4], [0, 0]]]
    assert there.tolist() == [[[True, False], [False, True], [False, False]]]


def test_steps_are_cut_and_joined_without_loss() -> None:
    x, lengths = series(), LENGTHS
    assert torch.equal(reverse(reverse(x, lengths), lengths), x)
    assert torch.equal(reverse(x, lengths)[2, 0], x[2, 4])
    assert torch.equal(joined(interleaved(x, 4), 4, 9), x)
    assert torch.equal(interleaved(x, 4)[1], torch.stack([x[0, 1], x[0, 5], torch.zeros(3)]))
    whole, steps = chunked(x, lengths, 4)
    assert whole.shape == (40, 3, 12) and steps.tolist()[:5] == [3, 1, 2, 1, 3]
    assert torch.equal(whole.unflatten(2, (4, 3)).flatten(1, 2)[:, :9], x)


@pytest.mark.parametrize("how", ["last", "mean", "max", "mean_max"])
def test_pooling_is_that_of_each_sequence_alone(how: str) -> None:
    x = series()
    pooled = pool(x, last_step(x, LENGTHS), LENGTHS, how)
    for row in range(4):
        own = x[row, : LENGTHS[row]]
        parts = {"last": [own[-1]], "mean": [own.mean(0)], "max": [own.amax(0)]}
        parts["mean_max"] = parts["mean"] + parts["max"]
        torch.testing.assert_close(pooled[row], torch.cat(parts[how]))


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_threads_that_share_rows_give_the_same_gradients_every_time(cell: Cell) -> None:
    """In bfloat16 too, where autocast would have them share what it makes of the weights."""
    network = Recurrent(8, 6, 2, cell=cell)
    network.initialise(torch.Generator().manual_seed(0))
    x = torch.randn(16, 8, 8, generator=torch.Generator().manual_seed(1))
    threads, found = torch.get_num_threads(), []
    try:
        torch.set_num_threads(2)
        for _ in range(60):
            network.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                outputs = network(x, None).outputs
            outputs.float().square().sum().backward()
            found.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(gradient, found[0]) for gradient in found)
