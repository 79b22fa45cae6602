"""The report is one well-formed file with all that it was given, escaped, and needs nothing from outside."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from torch import Tensor

from noiseforge.data.spec import Batch, Data, Spec
from noiseforge.evaluation import charts
from noiseforge.evaluation.figures import Evaluation, Figure
from noiseforge.evaluation.report import write_report

CLASSES = ("<b>nought</b>", "one", "two")
PROTOCOL = {"n_real": 30, "n_fake": 1000, "extractor": "judge-0123", "seed": 7}
FIGURES = (
    Figure(metric="fid", value=3.47, low=3.31, high=3.66, floor=0.4, better="lower", **PROTOCOL),
    Figure(metric="coverage", value=0.45, floor=0.9, better="higher", note="k = 3 & few", **PROTOCOL),
    Figure(metric="my_metric", value=12345.0, better="higher", **PROTOCOL),
    Figure(metric="nearest_ratio", value=4.0, floor=1.0, better="floor", **PROTOCOL),
)
VOID = {"meta", "img", "br", "path", "rect", "polyline"}


class Held:
    """A data set in memory."""

    def __init__(self, spec: Spec, x: Tensor, labels: Tensor | None):
        self.spec, self.x, self.labels = spec, x, labels

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: Tensor) -> Batch:
        return Batch(self.x[indices])

    def subset(self, indices: Tensor) -> "Held":
        return Held(self.spec, self.x[indices], None)


class Page(HTMLParser):
    """Reads a page and checks that every tag is closed in its turn; collects addresses and text."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.counts: dict[str, int] = {}
        self.words = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def data_of(shape: tuple[int, ...], classes: tuple[str, ...] = CLASSES) -> Data:
    spec = Spec(
        source="my <data>",
        modality="image" if len(shape) == 3 else "point",
        shape=shape,
        classes=classes,
        fingerprint="0",
    )
    x = torch.rand(30, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    held = Held(spec, x, torch.arange(30) % len(classes) if classes else None)
    return Data(held, held, spec)


def evaluation_of(**changes: object) -> Evaluation:
    plain = Evaluation(
        subject="runs/a & b",
        source="my <data>",
        figures=FIGURES,
        classes=CLASSES,
        class_histogram=(0.5, 0.3, 0.2),
        judge_accuracy=0.99,
        command="noiseforge evaluate 'runs/a & b'",
        created="2030-01-02T03:04:05Z",
        seconds=2.0,
    )
    return plain.model_copy(update=changes)


def records() -> list[dict]:
    train = [
        {
            "event": "train",
            "images": i,
            "seconds": i,
            "discriminator/r1": 0.1 * i,
            "generator/adversarial": 1.0,
        }
        for i in range(1000)
    ]
    return [*train, {"event": "health", "images": 500, "precision": 0.5, "coverage": float("nan")}]


def test_a_full_report_holds_everything_and_escapes_it(tmp_path: Path) -> None:
    data = data_of((1, 8, 8))
    x = data.train.batch(torch.arange(30)).x
    path = write_report(
        tmp_path / "new" / "report",
        evaluation_of(),
        x,
        data,
        records=records(),
        neighbours=(x[:6], x[6:12]),
        by_class=x.reshape(3, 10, 1, 8, 8),
        recipe="model: <script>alert(1)</script>",
    )
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.counts["img"] == 30 + 30 + 30 + 2 * 6  # samples, real examples, classes, pairs
    assert page.counts["polyline"] == 3  # a term of each player and precision: coverage is not finite
    assert page.counts["tr"] == 1 + len(FIGURES)
    assert "script" not in page.counts and "<b>nought</b>" in page.words and "k = 3 & few" in page.words
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not re.search(r"https?://|url\(|@import", text)
    assert "25% of the way to real data" in text and "Nearest-neighbour ratio ≈" in page.words
    for shown in ("3.47", "3.31 to 3.66", "12,345", "1,000 vs 30", "my_metric", "judge-0123"):
        assert shown in page.words
    assert "noiseforge evaluate 'runs/a & b'" in page.words
    assert "Diverged" in page.words and "coverage was not finite after 500 images" in page.words
    stored = (path.parent / "evaluation.json").read_text(encoding="utf-8")
    assert Evaluation.model_validate_json(stored) == evaluation_of()
    assert sorted(p.name for p in path.parent.iterdir()) == ["evaluation.json", "index.html"]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 256, 256), (2,), (5,)])
def test_the_least_that_can_be_given_makes_a_page(tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = data_of(shape, classes=())
    bare = evaluation_of(figures=(), classes=(), class_histogram=(), judge_accuracy=None)
    page = Page(write_report(tmp_path, bare, data.test.batch(torch.arange(30)).x, data).read_text(encoding="utf-8"))
    pictures = {(1, 8, 8): 60, (3, 256, 256): 24}.get(shape, 1)
    assert page.counts["img"] == pictures and "table" not in page.counts


def test_an_old_report_survives_a_failure(tmp_path: Path) -> None:
    data = data_of((1, 8, 8))
    (tmp_path / "index.html").write_text("old")
    with pytest.raises(ValueError):
        write_report(tmp_path, evaluation_of(), torch.zeros(4, 2, 8, 8), data)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_a_curve_goes_through_its_points() -> None:
    drawn = charts.lines("loss", {"a": [(0, 0.0), (100, 1.0)]})
    path = re.search(r'points="([^"]+)"', drawn)
    assert path is not None
    left, bottom = charts.LEFT, charts.HEIGHT - charts.BOTTOM
    assert path[1] == f"{left:.1f},{bottom:.1f} {charts.WIDTH - charts.RIGHT:.1f},{charts.TOP:.1f}"


def test_long_curves_are_thinned_and_keep_their_mean() -> None:
    drawn = charts.lines("loss", {"a": [(i, float(i % 2)) for i in range(3000)]})
    points = re.findall(r"[\d.]+,([\d.]+)", drawn.split("polyline")[1])
    assert len(points) == charts.MOST_POINTS and len(set(points)) == 1


def test_a_spike_does_not_set_the_scale() -> None:
    curve = [(i, 1e6 if i == 50 else i / 200) for i in range(200)]
    assert "M</text>" not in charts.lines("loss", {"a": curve})
