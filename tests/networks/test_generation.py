import logging
import math
from itertools import islice

import pytest
import torch
from torch import Tensor

from noiseforge.errors import Diverged, UserError
from noiseforge.networks.wavenet import generate as generation
from noiseforge.networks.wavenet import kernel as compiled
from noiseforge.networks.wavenet.draw import draw
from noiseforge.networks.wavenet.generate import generate, stepper, stream_generators
from noiseforge.networks.wavenet.kernel import LEVELS, LIMIT, Kernel, level
from noiseforge.networks.wavenet.naive import Naive, window
from noiseforge.networks.wavenet.network import CausalNetwork
from noiseforge.networks.wavenet.queues import Queues
from noiseforge.networks.wavenet.stepper import Stepper
from noiseforge.networks.wavenet.weights import Weights

HERE = LEVELS[: LEVELS.index(level() or LEVELS[0]) + 1] if level() else ()
needs_kernel = pytest.mark.skipif(not HERE, reason="the kernel is not built here")
PATHS = ["naive", "queues", pytest.param("kernel", marks=needs_kernel)]
FAST = PATHS[1:]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(**changes: object) -> CausalNetwork:
    """Random weights whose outputs spread as trained ones do; sizes that are no multiple of a vector's."""
    settings = {"levels": 40, "outputs": 40, "dilations": (1, 2, 4), "residual": 9, "gate": 22, "skip": 21, **changes}
    made = CausalNetwork(**settings)  # type: ignore[arg-type]
    made.initialise(rng())
    with torch.no_grad():
        for bias in (layer.bias for layer in [*made.gates, *made.residuals, made.skips, made.hidden, made.output]):
            bias.copy_(torch.randn(bias.shape, generator=rng(7)) * 0.2)
        made.output.weight.mul_(8 if made.continuous else 18)
    return made.eval()


def uniforms(n: int, k: int) -> Tensor:
    return torch.rand(n, k, 2, generator=rng(3), dtype=torch.float64)


def inputs(values: Tensor, start: float) -> Tensor:
    return torch.cat([torch.full_like(values[:, :1], start), values[:, :-1]], 1)


def values_of(weights: Weights, n: int, k: int) -> Tensor:
    if weights.continuous:
        return torch.rand(n, k, generator=rng(5)) * 2 - 1
    return torch.randint(len(weights.first), (n, k), generator=rng(5))


# -- draws ----------------------------------------------------------------------------------------------------


def test_codes_come_as_often_as_their_probability() -> None:
    logits = torch.randn(1, 6, generator=rng()).expand(60_000, -1)
    drawn = draw(logits, torch.rand(60_000, 2, generator=rng(1)), levels=6)
    shares = drawn.bincount(minlength=6) / 60_000
    torch.testing.assert_close(shares, logits[0].softmax(0), atol=0.006, rtol=0)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_temperature_divides_the_logits(temperature: float) -> None:
    logits, u = torch.randn(500, 6, generator=rng()), torch.rand(500, 2, generator=rng(1))
    cooled = draw(logits, u, levels=6, temperature=temperature)
    assert torch.equal(cooled, draw(logits / temperature, u, levels=6))


@pytest.mark.parametrize(
    ("nucleus", "kept"), [(0.45, [1]), (0.5, [1]), (0.51, [1, 2]), (0.8, [1, 2]), (0.81, [0, 1, 2])]
)
def test_a_nucleus_is_the_smallest_set_with_its_mass(nucleus: float, kept: list[int]) -> None:
    logits = torch.tensor([0.125, 0.5, 0.3, 0.075]).log().expand(2000, -1)
    drawn = draw(logits, torch.rand(2000, 2, generator=rng()), levels=4, nucleus=nucleus)
    assert drawn.unique().tolist() == kept


def test_uniforms_at_their_ends_give_codes_that_are_possible() -> None:
    logits = torch.tensor([[-math.inf, 0.0, 0.0, -math.inf]]).expand(3, -1)
    ends = torch.tensor([[0.0, 0.0], [0.5, 0.0], [1 - 2**-24, 0.0]])
    assert draw(logits, ends, levels=4).tolist() == [1, 2, 2]
    assert draw(torch.zeros(1, 4), torch.ones(1, 2), levels=4).tolist() == [3]


def test_a_logistic_has_its_own_quantiles() -> None:
    mean, log_scale = 0.1, -2.0
    u = torch.tensor([[0.0, 0.1], [0.0, 0.5], [0.0, 0.9], [0.0, 1.0]])
    parameters = torch.tensor([[0.0, mean, log_scale]]).expand(4, -1)
    expected = [mean + math.exp(log_scale) * math.log(p / (1 - p)) for p in (0.1, 0.5, 0.9)]
    assert draw(parameters, u, levels=0).tolist() == pytest.approx([*expected, 1.0])
    cooled = draw(parameters, u, levels=0, temperature=0.5).tolist()
    assert cooled[:3] == pytest.approx([(value + mean) / 2 for value in expected])


def test_a_scale_has_a_lower_bound_and_a_component_its_share() -> None:
    parameters = torch.tensor([[math.log(0.25), math.log(0.75), -0.5, 0.5, -50.0, -50.0]]).expand(2, -1)
    drawn = draw(parameters, torch.tensor([[0.2, 0.9], [0.3, 0.9]]), levels=0)
    assert drawn.tolist() == pytest.approx([-0.5 + math.exp(-7) * math.log(9), 0.5 + math.exp(-7) * math.log(9)])


# -- the three paths ------------------------------------------------------------------------------------------

NETWORKS = {
    "kernel 2": {},
    "kernel 3": {"kernel": 3},
    "kernel 1": {"kernel": 1},
    "one layer": {"dilations": (4,)},
    "two stacks": {"dilations": (1, 2, 4, 8) * 2, "residual": 32, "gate": 64, "skip": 64},
    "odd dilations": {"dilations": (3, 1, 7), "kernel": 3},
    "weight norm": {"normalised": True},
    "real numbers": {"levels": 0, "outputs": 9},
    "wide": {"residual": 48, "gate": 160, "skip": 150, "levels": 256, "outputs": 256, "dilations": (1, 2)},
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("told", ["nothing", "global", "local"])
@pytest.mark.parametrize("name", NETWORKS)
def test_each_path_gives_what_the_network_gives(name: str, told: str, path: str) -> None:
    made = network(**NETWORKS[name], conditions=0 if told == "nothing" else 5)
    weights, n, length = made.weights(), 2, 40
    values = values_of(weights, n, length)
    moments = {"nothing": 0, "global": 1, "local": length}[told]
    condition = torch.randn(n, moments, 5, generator=rng(4)) if moments else None
    runner = stepper(weights, n, path=path)
    with torch.no_grad():
        expected = made(inputs(values, 0.0 if weights.continuous else len(weights.first) // 2), condition)
        known = made.condition(condition)
    given = runner.parameters(values, known)
    torch.testing.assert_close(given, expected, atol=1e-4, rtol=1e-5)
    assert expected.std() > (0.2 if weights.continuous else 0.5)


@pytest.mark.parametrize("path", FAST)
@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("told", ["nothing", "global", "local"])
@pytest.mark.parametrize("name", ["kernel 2", "kernel 3", "two stacks", "odd dilations", "weight norm", "real numbers"])
def test_each_path_draws_the_same_from_the_same_uniforms(name: str, told: str, n: int, path: str) -> None:
    made, k = network(**NETWORKS[name], conditions=0 if told == "nothing" else 5), 40
    weights = made.weights()
    features = torch.randn(n, 1 if told == "global" else k, 5, generator=rng(4))
    condition = made.condition(features)
    condition = None if condition is None else condition.detach()
    expected = Naive(weights, n).advance(uniforms(n, k), condition)
    drawn = stepper(weights, n, path=path).advance(uniforms(n, k), condition)
    if weights.continuous:
        torch.testing.assert_close(drawn, expected, atol=1e-4, rtol=0)
    else:
        assert torch.equal(drawn, expected)
    assert len(expected.unique()) > 8


@pytest.mark.parametrize("path", FAST)
def test_rounding_does_not_add_up_over_a_long_stream(path: str) -> None:
    weights = network(**NETWORKS["two stacks"], conditions=0).weights()
    values = values_of(weights, 1, 2000)
    expected = window(weights, inputs(values, 20))
    torch.testing.assert_close(stepper(weights, 1, path=path).parameters(values), expected, atol=1e-4, rtol=1e-5)


@needs_kernel
@pytest.mark.parametrize("which", HERE)
@pytest.mark.parametrize("name", ["two stacks", "wide", "odd dilations", "real numbers"])
def test_every_level_of_instructions_draws_what_the_queues_draw(
    name: str, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, k = network(**NETWORKS[name]).weights(), 2000
    monkeypatch.setenv(LIMIT, which)
    assert level() == which
    expected = Queues(weights, 1).advance(uniforms(1, k)[:, :400])
    drawn = Kernel(weights, 1).advance(uniforms(1, k)[:, :400])
    torch.testing.assert_close(drawn, expected, atol=1e-4, rtol=0)
    values = values_of(weights, 1, k)
    given = inputs(values, 0.0 if weights.continuous else len(weights.first) // 2)
    torch.testing.assert_close(Kernel(weights, 1).parameters(values), window(weights, given), atol=1e-4, rtol=1e-5)


@needs_kernel
@pytest.mark.parametrize("which", HERE)
@pytest.mark.parametrize("name", ["two stacks", "wide", "kernel 3", "real numbers"])
def test_bf16_is_near_fp32_on_every_level(name: str, which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = network(**NETWORKS[name]).weights()
    values = values_of(weights, 2, 200)
    exact = Queues(weights, 2).parameters(values)
    monkeypatch.setenv(LIMIT, which)
    rounded = Kernel(weights, 2, precision="bf16").parameters(values)
    difference = (rounded - exact).abs().max() / exact.std()
    # Eight bits of each weight and activation: 2⁻⁹ of each term, over a few hundred terms and several layers.
    assert 1e-4 < difference < 0.08


@needs_kernel
@pytest.mark.parametrize("settings", [{"temperature": 0.7}, {"nucleus": 0.6}, {"temperature": 1.3, "nucleus": 0.9}])
def test_the_kernel_draws_as_torch_does_at_any_temperature_and_nucleus(settings: dict[str, float]) -> None:
    weights = network(**NETWORKS["two stacks"]).weights()
    expected = Queues(weights, 2).advance(uniforms(2, 300), **settings)
    assert torch.equal(Kernel(weights, 2).advance(uniforms(2, 300), **settings), expected)
    assert not torch.equal(Queues(weights, 2).advance(uniforms(2, 300)), expected)


@needs_kernel
def test_a_sharp_or_hopeless_distribution_is_drawn_from_alike() -> None:
    """Logits of ±1000 leave one code in float32 and in float64."""
    weights, u = network().weights(), uniforms(1, 20)
    coldest = [stepper(weights, 1, path=path).advance(u, temperature=1e-300) for path in ("kernel", "queues")]
    assert torch.equal(*coldest)
    assert torch.equal(coldest[0], window(weights, inputs(coldest[0], 20)).argmax(-1))
    weights = weights._replace(output_bias=torch.linspace(-1000, 1000, 40))
    assert Kernel(weights, 1).advance(uniforms(1, 20)).tolist() == [[39] * 20]
    assert Queues(weights, 1).advance(uniforms(1, 20)).tolist() == [[39] * 20]


@needs_kernel
def test_gates_are_saturated_without_overflow() -> None:
    weights = network().weights()
    pushed = weights._replace(gate_biases=tuple(torch.linspace(-500, 500, 22) for _ in range(3)))
    values = values_of(weights, 1, 20)
    given, expected = Kernel(pushed, 1).parameters(values), Queues(pushed, 1).parameters(values)
    torch.testing.assert_close(given, expected, atol=1e-4, rtol=1e-5)


@needs_kernel
@pytest.mark.parametrize("threads", [2, 3, 8])
def test_threads_change_nothing(threads: int) -> None:
    weights = network(**NETWORKS["two stacks"]).weights()
    one = Kernel(weights, 5).advance(uniforms(5, 100))
    assert torch.equal(Kernel(weights, 5, threads=threads).advance(uniforms(5, 100)), one)


# -- what a stepper remembers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_goes_on_where_it_stopped_and_from_its_state(path: str) -> None:
    weights, u = network(kernel=3).weights(), uniforms(2, 50)
    whole = stepper(weights, 2, path=path).advance(u)
    first = stepper(weights, 2, path=path)
    pieces = [first.advance(u[:, :17]), first.advance(u[:, 17:30])]
    state = first.state()
    pieces.append(first.advance(u[:, 30:]))
    assert torch.equal(torch.cat(pieces, 1), whole)
    second = stepper(weights, 2, path=path)
    second.load_state(state)
    assert torch.equal(second.advance(u[:, 30:]), whole[:, 30:])


@needs_kernel
@pytest.mark.parametrize(("one", "other"), [("queues", "kernel"), ("kernel", "queues")])
def test_the_kernel_and_the_queues_take_each_other_s_state(one: str, other: str) -> None:
    weights, u = network(kernel=3).weights(), uniforms(2, 50)
    whole = Naive(weights, 2).advance(u)
    first, second = stepper(weights, 2, path=one), stepper(weights, 2, path=other)
    first.advance(u[:, :30])
    second.load_state(first.state())
    assert torch.equal(second.advance(u[:, 30:]), whole[:, 30:])


@pytest.mark.parametrize("path", PATHS)
def test_priming_is_as_if_the_values_had_been_drawn(path: str) -> None:
    weights, u = network().weights(), uniforms(2, 40)
    whole = stepper(weights, 2, path=path).advance(u)
    primed = stepper(weights, 2, path=path)
    primed.prime(whole[:, :25])
    assert torch.equal(primed.advance(u[:, 25:]), whole[:, 25:])


@pytest.mark.parametrize("path", PATHS)
def test_a_condition_may_begin_and_end_in_the_middle(path: str) -> None:
    made = network(conditions=5)
    weights, values = made.weights(), values_of(made.weights(), 1, 30)
    told = torch.randn(1, 30, 5, generator=rng(4))
    with torch.no_grad():
        known = made.condition(told)
        assert known is not None
        known[:, :10] = known[:, 20:] = 0
        expected = window(weights, inputs(values, 20), known)
    runner = stepper(weights, 1, path=path)
    parts = [
        runner.parameters(values[:, :10]),
        runner.parameters(values[:, 10:20], known[:, 10:20]),
        runner.parameters(values[:, 20:]),
    ]
    torch.testing.assert_close(torch.cat(parts, 1), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("path", PATHS)
def test_a_start_value_is_the_first_input(path: str) -> None:
    weights, values = network().weights(), torch.randint(40, (1, 10), generator=rng(5))
    given = stepper(weights, 1, path=path, start=3).parameters(values)
    torch.testing.assert_close(given, window(weights, inputs(values, 3)), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("path", PATHS)
def test_what_was_heard_is_kept_when_the_caller_s_tensor_changes(path: str) -> None:
    weights, values = network().weights(), torch.randint(40, (1, 10), generator=rng(5))
    one, other = stepper(weights, 1, path=path), stepper(weights, 1, path=path)
    one.prime(values)
    other.prime(values.clone())
    values.zero_()
    assert torch.equal(one.advance(uniforms(1, 5)), other.advance(uniforms(1, 5)))


@pytest.mark.parametrize("path", FAST)
def test_memory_does_not_grow_with_the_stream(path: str) -> None:
    runner = stepper(network().weights(), 1, path=path)
    before = {name: tensor.shape for name, tensor in runner.state().items()}
    runner.advance(uniforms(1, 300))
    assert {name: tensor.shape for name, tensor in runner.state().items()} == before


def test_steps_use_one_thread_and_give_the_others_back(monkeypatch: pytest.MonkeyPatch) -> None:
    runner, seen, before = Queues(network().weights(), 1), [], torch.get_num_threads()

    def step(*_: object) -> Tensor:
        seen.append((torch.get_num_threads(), torch.is_inference_mode_enabled()))
        raise RuntimeError("stopped")

    monkeypatch.setattr(runner, "_step", step)
    torch.set_num_threads(3)
    try:
        with pytest.raises(RuntimeError, match="stopped"):
            runner.advance(uniforms(1, 1))
        assert (seen, torch.get_num_threads()) == ([(1, True)], 3)
    finally:
        torch.set_num_threads(before)


# -- streams --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FAST)
def test_a_stream_depends_neither_on_the_others_nor_on_the_pieces(path: str) -> None:
    weights = network().weights()
    whole = torch.cat([*generate(weights, 3, 50, rng(9), path=path)], 1)
    assert torch.equal(torch.cat([*generate(weights, 1, 50, rng(9), path=path, chunk=7)], 1), whole[:1])
    sources = stream_generators(3, rng(9))
    assert torch.equal(torch.cat([*generate(weights, 1, 50, sources[2:], path=path)], 1), whole[2:])
    assert not torch.equal(whole[0], whole[1])


def test_pieces_have_the_length_asked_for_and_progress_is_told() -> None:
    told: list[int] = []
    pieces = [*generate(network().weights(), 2, 25, rng(), chunk=10, progress=told.append)]
    assert [tuple(piece.shape) for piece in pieces] == [(2, 10), (2, 10), (2, 5)]
    assert told == [10, 20, 25]
    endless = generate(network().weights(), 1, None, rng(), chunk=4)
    assert [piece.shape[1] for piece in islice(endless, 5)] == [4] * 5


@pytest.mark.parametrize("path", FAST)
def test_a_prefix_and_a_condition_count_from_the_same_beginning(path: str) -> None:
    made = network(conditions=5)
    with torch.no_grad():
        known = made.condition(torch.randn(2, 40, 5, generator=rng(4)))
    assert known is not None
    prefix = torch.randint(40, (2, 15), generator=rng(5))
    asked: list[tuple[int, int]] = []

    def course(begin: int, end: int) -> Tensor:
        asked.append((begin, end))
        return known[:, begin:end]

    settings = {"prefix": prefix, "path": path, "chunk": 10}
    given = torch.cat([*generate(made.weights(), 2, 25, rng(9), condition=known, **settings)], 1)
    called = torch.cat([*generate(made.weights(), 2, 25, rng(9), condition=course, **settings)], 1)
    assert torch.equal(given, called)
    assert asked == [(0, 10), (10, 15), (15, 25), (25, 35), (35, 40)]
    runner = Queues(made.weights(), 2)
    runner.prime(prefix, known[:, :15])
    u = torch.stack([torch.rand(25, 2, generator=g, dtype=torch.float64) for g in stream_generators(2, rng(9))])
    assert torch.equal(runner.advance(u, known[:, 15:]), given)


# -- refusals -------------------------------------------------------------------------------------------------


def spoilt(name: str) -> Weights:
    weights = network().weights()
    tensor = getattr(weights, name).clone()
    tensor.view(-1)[0] = math.nan
    return weights._replace(**{name: tensor})


@pytest.mark.parametrize("name", ["first", "skips", "hidden_bias", "output"])
@pytest.mark.parametrize("path", PATHS)
def test_weights_that_are_not_finite_are_refused(name: str, path: str) -> None:
    with pytest.raises(Diverged, match=f"{name!r} hold NaN or infinity"):
        stepper(spoilt(name), 1, path=path)


@pytest.mark.parametrize(
    "changes",
    [
        {"skips": torch.zeros(21, 5)},
        {"output": torch.zeros(40, 21).double()},
        {"gates": (torch.zeros(22, 18),) * 2},
        {"first": torch.zeros(39, 9)},
        {"dilations": (1, 2, 0)},
        {"continuous": True, "first": torch.zeros(2, 9)},
    ],
)
def test_weights_that_do_not_fit_together_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(UserError):
        stepper(network().weights()._replace(**changes), 1)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (torch.zeros(2, 6, 3, 21), r"must be \(2, 6 or 1, 3, 22\).* got \(2, 6, 3, 21\)"),
        (torch.zeros(2, 5, 3, 22), "got"),
        (torch.zeros(1, 6, 3, 22), "got"),
        (torch.zeros(2, 6, 66), "got"),
        (torch.full((2, 6, 3, 22), math.nan), "finite"),
        (torch.full((2, 1, 3, 22), math.inf), "finite"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(condition: Tensor, message: str, path: str) -> None:
    with pytest.raises(UserError, match=message):
        stepper(network().weights(), 2, path=path).advance(uniforms(2, 6), condition)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (torch.tensor([[0, 40]]), "codes from 0 to 39, got 0 to 40"),
        (torch.tensor([[-1, 2]]), "codes from 0 to 39, got -1 to 2"),
        (torch.tensor([[0.5]]), "torch.int64"),
        (torch.tensor([0, 1]), r"must be \(1, p\)"),
        (torch.tensor([[0], [1]]), r"must be \(1, p\)"),
    ],
)
def test_values_that_do_not_fit_are_refused(values: Tensor, message: str, path: str) -> None:
    with pytest.raises(UserError, match=message):
        stepper(network().weights(), 1, path=path).prime(values)


@pytest.mark.parametrize(
    "given", [torch.zeros(2, 5), torch.zeros(1, 5, 2), torch.full((2, 5, 2), math.nan), torch.full((2, 5, 2), 1.5)]
)
def test_uniforms_that_do_not_fit_are_refused(given: Tensor) -> None:
    with pytest.raises(UserError, match="uniforms must be"):
        stepper(network().weights(), 2).advance(given)


@pytest.mark.parametrize(
    "settings", [{"temperature": 0.0}, {"temperature": math.nan}, {"nucleus": 0.0}, {"nucleus": 1.5}, {"chunk": 0}]
)
def test_settings_that_cannot_be_are_refused_before_anything_is_drawn(settings: dict[str, float]) -> None:
    with pytest.raises(UserError):
        generate(network().weights(), 1, 10, rng(), **settings)  # type: ignore[arg-type]


def test_a_nucleus_of_real_numbers_is_refused() -> None:
    with pytest.raises(UserError, match="nucleus is of codes"):
        generate(network(levels=0, outputs=3).weights(), 1, 10, rng(), nucleus=0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signals": None}, "'signals' must be"),
        ({"signals": torch.zeros(2, 6, 9)}, r"'signals' must be \(2, 7, 9\), got \(2, 6, 9\)"),
        ({"last": torch.tensor([0, 40])}, "codes from 0 to 39"),
        ({"time": torch.tensor(-1)}, "0 or more"),
        ({"more": torch.zeros(1)}, "'more' must be none"),
    ],
)
@pytest.mark.parametrize("path", FAST)
def test_a_state_that_does_not_fit_is_refused(changes: dict[str, Tensor | None], message: str, path: str) -> None:
    runner = stepper(network().weights(), 2, path=path)
    state = {name: value for name, value in {**runner.state(), **changes}.items() if value is not None}
    with pytest.raises(UserError, match=message):
        runner.load_state(state)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "kernle"}, "did you mean 'kernel'"),
        ({"precision": "fp16"}, "unknown precision 'fp16'"),
        ({"path": "queues", "precision": "bf16"}, "computes in fp32"),
    ],
)
def test_paths_that_do_not_exist_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        stepper(network().weights(), 1, **settings)  # type: ignore[arg-type]


# -- without a kernel -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["limited", "not built"])
def test_without_a_kernel_the_queues_generate_and_it_is_said_once(
    how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if how == "limited":
        monkeypatch.setenv(LIMIT, "none")
    else:
        monkeypatch.setattr(compiled, "_library", lambda: None)
    generation._say.cache_clear()
    with caplog.at_level(logging.INFO):
        runners = [stepper(network().weights(), 1, precision="bf16") for _ in range(2)]
    generation._say.cache_clear()
    assert [type(runner) for runner in runners] == [Queues, Queues]
    assert [record.message for record in caplog.records] == [
        "WaveNet generates with torch queues (fp32): the compiled kernel is not built here or is turned off"
    ]
    with pytest.raises(UserError, match="generate with path queues"):
        stepper(network().weights(), 1, path="kernel")


@pytest.mark.parametrize(
    ("instructions", "precision", "said"),
    [
        ("portable", "fp32", "portable, fp32"),
        ("avx512bf16", "fp32", "avx512, fp32"),
        ("avx512bf16", "bf16", "avx512bf16, bf16"),
    ],
)
def test_the_kernel_s_instructions_are_those_that_the_precision_uses(
    instructions: str, precision: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "level", lambda: instructions)
    assert generation.way(precision) == f"the compiled kernel ({said})"


def test_a_limit_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "avx3")
    with pytest.raises(UserError, match="unknown NOISEFORGE_KERNEL 'avx3', did you mean 'avx2'"):
        stepper(network().weights(), 1)


def test_every_path_is_a_stepper_of_its_own_kind() -> None:
    made: list[Stepper] = [stepper(network().weights(), 1, path=path) for path in ("naive", "queues")]
    assert [type(each) for each in made] == [Naive, Queues]
