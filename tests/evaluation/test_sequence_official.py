"""The official scores of series: as they are defined, the same alone and together, and not to be fooled."""

from pathlib import Path

import pytest
import torch
from tests.evaluation.series_in_memory import spec_of, waves
from torch import Tensor

from noiseforge.data.split import seeded
from noiseforge.errors import UserError
from noiseforge.evaluation.sequence_baseline import gaussian_series
from noiseforge.evaluation.sequence_official import (
    DISCRIMINATIVE,
    PREDICTIVE,
    _told,
    discriminative_score,
    predicted,
    predictive_score,
    told_apart,
)
from noiseforge.evaluation.sequence_recurrent import Recurrent, _Unrolled
from noiseforge.evaluation.sequence_runs import Judge, Pair, block_split, random_split
from noiseforge.evaluation.sequence_view import Filled, filled

SHORT = Judge(iterations=40, batch=16, rate=1e-2)
EAGER = Judge(hidden=4, iterations=150, batch=32, rate=2e-2)


def noise(n: int, steps: int = 12, features: int = 3) -> Tensor:
    return torch.rand(n, steps, features, generator=torch.Generator().manual_seed(1))


def test_gradient_is_that_of_finite_differences() -> None:
    chance = torch.Generator().manual_seed(0)
    sizes = ((4, 2, 6, 5), (4, 2, 3, 5), (2, 6, 3), (2, 3, 3))
    given = [torch.randn(size, generator=chance, dtype=torch.float64, requires_grad=True) for size in sizes]
    assert torch.autograd.gradcheck(_Unrolled.apply, given)


def test_states_are_those_of_the_textbook_and_stay_after_the_end() -> None:
    network = Recurrent(3, 2, 1, [seeded(0, "a"), seeded(1, "b")], torch.float64)
    x = torch.randn(5, 2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    length = torch.tensor([[5, 3, 1, 5], [2, 5, 5, 4]])
    states = network(x, length)
    for run in range(2):
        wg, ug, wc, uc, bg, bc = (weight[run] for weight in network.layers)
        for series in range(4):
            state = torch.zeros(2, dtype=torch.float64)
            for step in range(int(length[run, series])):
                now = x[step, run, :, series]
                reset, update = (wg @ now + ug @ state + bg[:, 0]).sigmoid().chunk(2)
                state = update * state + (1 - update) * (wc @ now + uc @ (reset * state) + bc[:, 0]).tanh()
            torch.testing.assert_close(states[-1, run, :, series], state)


def test_judges_learn_where_gradients_are_off() -> None:
    real, fake = filled(waves(60)), filled(noise(60))
    usual = discriminative_score(real, fake, seeds=(0,), judge=SHORT)
    with torch.no_grad():
        assert torch.equal(discriminative_score(real, fake, seeds=(0,), judge=SHORT).auc, usual.auc)


def test_runs_together_give_what_each_gives_alone() -> None:
    real, fake, other = filled(waves(60)), filled(noise(60)), filled(waves(60, seed=3))
    together = told_apart([Pair(real, fake), Pair(real, other)], seeds=(0, 1), judge=SHORT)
    foretold = predicted([Pair(real, fake), Pair(real, other)], seeds=(0, 1), judge=SHORT, targets=(0, 2))
    for place, pair in enumerate((fake, other)):
        for seed in (0, 1):
            alone = discriminative_score(real, pair, seeds=(seed,), judge=SHORT)
            torch.testing.assert_close(alone.auc[0], together[place].auc[seed], atol=0.02, rtol=0)
            error = predictive_score(real, pair, seeds=(seed,), target=2, judge=SHORT)
            torch.testing.assert_close(error[0], foretold[place, 1, seed], atol=1e-5, rtol=0)


def test_protocol_is_the_released_one() -> None:
    assert (DISCRIMINATIVE.iterations, PREDICTIVE.iterations) == (2_000, 5_000)
    assert [DISCRIMINATIVE.units(features) for features in (1, 5, 6, 28)] == [1, 2, 3, 14]
    assert (DISCRIMINATIVE.batch, DISCRIMINATIVE.rate, DISCRIMINATIVE.layers) == (128, 1e-3, 1)


def test_noise_is_told_from_waves_and_waves_from_waves_are_not() -> None:
    real = filled(waves(200))
    assert discriminative_score(real, filled(noise(200)), judge=EAGER, seeds=(0, 1)).score.min() > 0.45
    assert discriminative_score(real, real, judge=EAGER, seeds=(0, 1)).score.max() < 0.2


def test_order_in_time_is_seen() -> None:
    real = waves(200)
    mixed = real[:, torch.randperm(12, generator=torch.Generator().manual_seed(0))]
    assert discriminative_score(filled(real), filled(mixed), judge=EAGER, seeds=(0,)).score > 0.3


def test_lengths_of_fakes_are_their_own() -> None:
    flat = torch.full((100, 12, 2), 0.5)
    real, short = filled(flat), filled(flat, torch.full((100,), 2))
    assert discriminative_score(real, short, judge=EAGER, seeds=(0,)).score == 0.5


def test_area_under_the_curve_counts_pairs() -> None:
    accuracy, auc = _told(torch.tensor([1.0, -1.0]), torch.tensor([0.0, -1.0]))
    assert (accuracy, auc) == (0.75, (1 + 1 + 0 + 0.5) / 4)


@pytest.mark.parametrize("features", [1, 3])
def test_prediction_learns_what_follows(features: int) -> None:
    steady = waves(200, features=features)
    learned = predictive_score(filled(steady), filled(steady), judge=EAGER, seeds=(0,))
    fooled = predictive_score(filled(steady), filled(noise(200, features=features)), judge=EAGER, seeds=(0,))
    assert learned[0] < 0.6 * fooled[0]


def test_padding_is_not_predicted() -> None:
    length = torch.full((80,), 5)
    padded, cut = filled(waves(80), length), filled(waves(80)[:, :5])
    scores = [predictive_score(part, part, judge=SHORT, seeds=(0,)) for part in (padded, cut)]
    torch.testing.assert_close(scores[0], scores[1], atol=1e-6, rtol=0)


def test_blocks_share_no_step() -> None:
    starts = torch.arange(600)
    windows = Filled(torch.zeros(600, 10, 1), torch.full((600,), 10), starts)
    train, test = block_split(windows, seeded(0, "run"))
    assert (starts[train][:, None] - starts[test]).abs().min() >= 10
    assert 0.1 < len(test) / (len(train) + len(test)) < 0.35
    assert torch.equal(block_split(windows.at(starts[::2]), seeded(0, "run"))[1], test[test % 2 == 0] // 2)
    assert len(random_split(windows, seeded(0, "run"))[0]) == 480


def test_what_cannot_be_judged_is_said() -> None:
    with pytest.raises(UserError, match="3 features"):
        discriminative_score(filled(waves(9)), filled(waves(9, features=2)))
    with pytest.raises(UserError, match="5 series"):
        discriminative_score(filled(waves(9)), filled(waves(4)))
    with pytest.raises(UserError, match="two steps"):
        predictive_score(filled(waves(9, 1)), filled(waves(9, 1)))


@pytest.mark.slow
def test_figures_of_stocks(shared_data: Path) -> None:
    """Real against itself 0.014, a Gaussian 0.193, prediction 0.0366: what the released protocol gives."""
    path = shared_data / "stock" / "stock_data.csv"
    if not path.is_file():
        pytest.skip(f"no {path}")
    rows = [[float(value) for value in line.split(",")] for line in path.read_text().splitlines()[1:]]
    table = torch.tensor(rows, dtype=torch.float64)
    table = (table - table.amin(0)) / (table.amax(0) - table.amin(0))
    real = filled(table.unfold(0, 24, 1)[:-1].transpose(1, 2).float())
    gaussian = gaussian_series(real, len(real.x), spec=spec_of(real.x), generator=seeded(0, "gaussian"))
    itself, baseline = told_apart([Pair(real, real), Pair(real, gaussian)])
    assert itself.score.mean() == pytest.approx(0.014, abs=0.01)
    assert baseline.score.mean() == pytest.approx(0.193, abs=0.03)
    assert predictive_score(real, real, seeds=(0,))[0] == pytest.approx(0.0366, abs=0.001)
