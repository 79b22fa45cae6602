"""The figures of sound: what each says of sound whose answer is known, and what is refused."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from noiseforge.data import Data
from noiseforge.data.samples import Samples
from noiseforge.errors import UserError
from noiseforge.evaluation.bootstrap import Interval, wilson
from noiseforge.evaluation.figures import Evaluation
from noiseforge.evaluation.hearing import heard
from noiseforge.evaluation.sound_metrics import SOUND_METRICS, evaluate_sound
from noiseforge.evaluation.sound_statistics import (
    cells_floor,
    clip_facts,
    moved,
    nearest_clips,
    sorted_distance,
    spectrum_distance,
)

OF_SOUND = ("spectrum_distance", "level_distance", "crossings_distance", "duration_distance")


@pytest.fixture(scope="module")
def real(tones: Data) -> Samples:
    """Training clips, as a model that knows them by heart would make them."""
    return Samples(*tones.train.batch(torch.arange(40)))


@pytest.fixture(scope="module")
def whole(tones: Data, real: Samples) -> Evaluation:
    """All that is measured on them."""
    return evaluate_sound(real, tones)


@pytest.mark.parametrize(
    ("right", "n", "expected"),
    [
        (10, 10, Interval(10 / (10 + 1.96**2), 1.0)),  # the closed form at the ends
        (0, 10, Interval(0.0, 1.96**2 / (10 + 1.96**2))),
        (81, 263, Interval(0.2553, 0.3662)),  # Newcombe 1998, table I
    ],
)
def test_wilson(right: int, n: int, expected: Interval) -> None:
    assert wilson(right / n, n) == pytest.approx(expected, abs=1e-4)


def test_facts_of_a_sine() -> None:
    """A sine of amplitude 1/2 at 1 kHz: -9.03 dB, 2000 crossings a second, and one line; padding is not heard."""
    t = torch.arange(4000)
    x = torch.stack([0.5 * (2 * math.pi * t / 8 + 0.1).sin(), 0.05 * (2 * math.pi * t / 8 + 0.1).sin()])[:, None]
    x[1, :, 2000:] = 7.0
    facts = clip_facts(x, torch.tensor([4000, 2000]), 8000, n_fft=256, hop=80)
    assert facts.level.tolist() == pytest.approx([-9.031, -29.031], abs=1e-3)
    assert facts.crossings.tolist() == pytest.approx([2000, 2000], rel=2e-3)
    assert facts.duration.tolist() == [0.5, 0.25]
    assert facts.spectrum.sum(1).tolist() == pytest.approx([1.0, 1.0])
    assert facts.spectrum.argmax(1).tolist() == [32, 32]  # 1000 Hz of 8000 in 256 bins
    silent = clip_facts(torch.zeros(1, 1, 400), torch.tensor([400]), 8000, n_fft=256, hop=80)
    assert (silent.level.item(), silent.crossings.item(), silent.spectrum.sum().item()) == (-100.0, 0.0, 0.0)


def test_distances_of_spectra_and_of_numbers() -> None:
    generator = torch.Generator().manual_seed(0)
    spectra = torch.rand(5, 33, generator=generator, dtype=torch.float64)
    slope = 10 ** (torch.linspace(-0.3, 0.3, 33, dtype=torch.float64))  # -3 to +3 dB
    rms = float(torch.linspace(-3, 3, 33).double().square().mean().sqrt())
    assert spectrum_distance(spectra, spectra * slope) == pytest.approx(rms)
    numbers = torch.rand(50, generator=generator)
    assert sorted_distance(numbers, numbers[torch.randperm(50, generator=generator)] + 2) == pytest.approx(2)


def test_the_floor_of_cells_is_that_of_fair_draws() -> None:
    """Each of K cells is missed by n draws with probability (1 - 1/K)^n."""
    training = torch.full((8,), 1 / 7, dtype=torch.float64)
    training[3] = 0.0  # no cell of the training clips
    few = cells_floor(training, 10, torch.Generator().manual_seed(0))
    assert few.coverage == pytest.approx(1 - (6 / 7) ** 10, abs=0.03)
    many = cells_floor(training, 10_000, torch.Generator().manual_seed(0))
    # The mean absolute deviation of a binomial share, seven times, over 2.
    assert many.distance == pytest.approx(7 / 2 * math.sqrt(2 / math.pi * (1 / 7) * (6 / 7) / 10_000), rel=0.1)


def test_copies_are_found_wherever_they_start(tones: Data) -> None:
    training = heard(tones).train
    length = tones.train.batch(torch.arange(64)).length
    assert length is not None
    indices = length.argsort()[:3]  # short enough to be moved without losing their ends
    pictures = training.batch(indices).x
    late = torch.cat([moved(picture, shift) for picture, shift in zip(pictures.split(1), (0, 2, 3), strict=True)])
    found = nearest_clips(late, training)
    assert torch.equal(found.clip, indices)
    assert found.distance.tolist() == [0.0, 0.0, 0.0]


def test_real_clips_are_at_their_floor(whole: Evaluation, tones: Data, real: Samples) -> None:
    figures = {figure.metric: figure for figure in whole.figures}
    assert set(SOUND_METRICS) < set(figures) and {"fid", "kid", "coverage", "copies"} < set(figures)
    for name in ("label_agreement", "speaker_agreement", "cell_coverage"):
        assert figures[name].value >= 0.95, name
        assert figures[name].floor == pytest.approx(figures[name].value, abs=0.06)
    for name in OF_SOUND:
        figure = figures[name]
        assert figure.floor is not None and figure.low is not None and figure.high is not None
        assert figure.low <= figure.value <= figure.high
        assert figure.value < 2 * figure.floor, name
        assert (figure.n_real, figure.n_fake) == (40, 40)
    # They are training clips: all are copies, and no test clip is.
    assert (figures["close_copies"].value, figures["copies"].value) == (1.0, 1.0)
    assert figures["close_copies"].floor is not None and figures["close_copies"].floor < 0.2
    assert figures["label_agreement"].extractor != figures["speaker_agreement"].extractor
    assert (whole.fingerprint, whole.classes) == (tones.spec.fingerprint, ("low", "high"))
    assert Evaluation.model_validate_json(whole.model_dump_json()) == whole
    names = ("fid", "cell_distance", "level_distance")
    again = evaluate_sound(real, tones, metrics=names)
    assert again.figures == tuple(figures[name] for name in names)


def test_the_wrong_pairs_are_told(tones: Data, real: Samples) -> None:
    assert real.y is not None and real.speaker is not None and real.length is not None
    first = (real.y == 0) & (real.speaker == 1)
    one_kind = Samples(real.x[first], 1 - real.y[first], real.length[first], real.speaker[first])
    names = ("label_agreement", "speaker_agreement", "cell_coverage", "cell_distance")
    wrong, right, coverage, distance = evaluate_sound(one_kind, tones, metrics=names).figures
    assert (wrong.value, wrong.low) == (0.0, 0.0) and wrong.high is not None and wrong.high > 0.2
    assert right.value == 1.0
    assert coverage.value == 0.25 and distance.value == pytest.approx(0.75)
    assert coverage.floor is not None and coverage.floor > 0.8


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: x.sign() * 0.5, "spectrum_distance"),
        (lambda x: 0.1 * x, "level_distance"),
        (lambda x: x + 0.2 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0)), "crossings_distance"),
        (lambda x: x[..., :600], "duration_distance"),
    ],
)
def test_each_statistic_tells_its_own_fault(
    tones: Data, real: Samples, monkeypatch: pytest.MonkeyPatch, change: Callable[[Tensor], Tensor], told: str
) -> None:
    monkeypatch.setattr("noiseforge.evaluation.sound_metrics.extractor", lambda *_, **__: pytest.fail("not asked for"))
    x = change(real.x)
    assert real.length is not None
    length = real.length.clamp(max=x.shape[-1])
    figures = {f.metric: f for f in evaluate_sound(Samples(x, None, length), tones, metrics=OF_SOUND).figures}
    worst = figures[told]
    assert worst.floor is not None and worst.value > 3 * worst.floor
    if told == "level_distance":  # 20 dB, and nothing else
        assert worst.value == pytest.approx(20, abs=1)
        assert all(f.floor is not None and f.value < 2 * f.floor for name, f in figures.items() if name != told)


def test_speakers_are_judged_where_there_are_no_classes(make: Callable[..., Data], real: Samples) -> None:
    data = make(classes=())
    found = evaluate_sound(real._replace(y=None), data, metrics=("coverage", "speaker_agreement", "class_min_share"))
    assert found.classes == ("dull", "bright") and found.judge_accuracy is not None
    assert len({figure.extractor for figure in found.figures}) == 1
    nameless = make(classes=(), speakers=())
    bare = evaluate_sound(Samples(real.x, None, real.length), nameless)
    assert bare.judge_accuracy is None and bare.figure("speaker_agreement") is None
    assert {f.extractor.split("-")[0] for f in bare.figures} == {"random", "pixels", "mel"}


@pytest.mark.parametrize(
    ("change", "metrics", "message"),
    [
        ({"x": torch.zeros(4, 600)}, None, r"shape \(N, 1, T\) like tones, got \(4, 600\)"),
        ({"x": torch.zeros(1, 1, 600)}, None, "at least 2 samples"),
        ({"x": torch.full((3, 1, 9), math.nan)}, None, "3 of 3 samples hold NaN .* number 0"),
        ({"length": torch.full((4,), 601)}, None, "lengths from 1 to 600 like tones, got 601 to 601"),
        ({"length": torch.zeros(4, dtype=torch.int64)}, None, "lengths from 1 to 600"),
        ({"y": torch.full((4,), 2)}, None, "labels from 0 to 1"),
        ({"speaker": torch.ones(4)}, None, "one whole-number speaker"),
        ({}, ("speaker_agreement",), "pass speakers"),
        ({}, ("label_agrement",), "did you mean 'label_agreement'"),
        ({}, ("high_quality",), "for ring and grid"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(tones: Data, change, metrics, message: str) -> None:
    samples = Samples(torch.ones(4, 1, 600))._replace(**change)
    with pytest.raises(UserError, match=message):
        evaluate_sound(samples, tones, metrics=metrics)


def test_cells_need_labels_and_speakers(make: Callable[..., Data]) -> None:
    with pytest.raises(UserError, match="cell_coverage needs labels and speakers of the training clips, and tones"):
        evaluate_sound(Samples(torch.ones(4, 1, 600)), make(speakers=()), metrics=("cell_coverage",))
