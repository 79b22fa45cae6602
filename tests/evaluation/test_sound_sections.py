"""The sections that let sound be heard: what they play is what was made, and the page stays small and whole."""

import base64
import io
import re
import wave
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from noiseforge.data import Data
from noiseforge.data.samples import Samples
from noiseforge.evaluation.figures import Evaluation, Figure
from noiseforge.evaluation.report import write_report
from noiseforge.evaluation.sound_sections import sound_sections

VOID = {"meta", "img", "path"}


class Parts(HTMLParser):
    """Checks that every tag is closed in its turn, and collects addresses and captions."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.captions: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Closed by itself."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "figcaption":
            self.captions.append(data)


def played(source: str) -> torch.Tensor:
    """The 16-bit values of a player."""
    with wave.open(io.BytesIO(base64.b64decode(source.removeprefix("data:audio/wav;base64,")))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        return torch.frombuffer(bytearray(file.readframes(file.getnframes())), dtype=torch.int16)


def test_players_play_the_samples_without_their_padding(tones: Data) -> None:
    samples = Samples(*tones.train.batch(torch.arange(40)))
    assert samples.length is not None
    page = Parts("".join(sound_sections(samples, tones)))
    assert all(source.startswith("data:") for source in page.sources)
    sounds = [played(source) for source in page.sources if "audio" in source]
    # Two rows of six, twelve real clips, twelve pairs.
    assert len(sounds) == len(page.captions) == 12 + 12 + 24
    assert page.captions[:3] == ["low · dull", "low · bright", "low · dull"]
    for place, index in ((0, 0), (1, 2), (2, 4)):
        length = int(samples.length[index])
        assert torch.equal(sounds[place], (samples.x[index, 0, :length] * 32768).round().to(torch.int16))
    for i in range(12):  # training clips: each is its own nearest
        assert torch.equal(sounds[24 + 2 * i], sounds[25 + 2 * i])
        assert page.captions[25 + 2 * i].startswith(f"clip {i}: ")


def test_names_are_escaped_and_samples_without_labels_are_heard(make: Callable[..., Data]) -> None:
    data = make(classes=("<b>", "high"), speakers=())
    samples = Samples(torch.zeros(3, 1, 500))
    page = Parts("".join(sound_sections(samples, data)))
    assert sum("audio" in source for source in page.sources) == 3 + 12 + 6
    assert "<b>" in page.captions  # as text: as a tag it would stand open
    labelled = "".join(sound_sections(samples._replace(y=torch.zeros(3, dtype=torch.int64)), data))
    assert "<b>&lt;b&gt;</b>" in labelled


@pytest.mark.parametrize("seconds", [0.2, 6.0])
def test_a_whole_report_is_small_and_needs_nothing_else(
    make: Callable[..., Data], tmp_path: Path, seconds: float
) -> None:
    data = make(40, 20, seconds=seconds)
    samples = Samples(*data.test.batch(torch.arange(20)))
    found = Evaluation(subject="clips", source="tones", figures=(), created="2026-01-01", seconds=1.0)
    path = write_report(tmp_path, found, samples.x, data, shown=sound_sections(samples, data))
    text = path.read_text(encoding="utf-8")
    assert len(text) < 5_000_000
    assert text.count("<audio") >= 6
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert {"Samples to hear", "Nearest training clips"} < set(re.findall("<h2>(.*?)</h2>", text))


def test_a_report_of_sound_begins_with_what_is_predicted_and_heard(tones: Data, tmp_path: Path) -> None:
    names = ("fid", "coverage", "precision", "label_agreement", "bits_per_sample")
    protocol = {"n_real": 9, "n_fake": 9, "extractor": "", "seed": 0, "better": "lower"}
    figures = tuple(Figure(metric=name, value=0.5, **protocol) for name in names)
    found = Evaluation(subject="clips", source="tones", figures=figures, created="2026-01-01", seconds=1.0)
    text = write_report(tmp_path, found, tones.test.batch(torch.arange(2)).x, tones).read_text(encoding="utf-8")
    heads = re.findall(r"class=headline><dt>(.*?) [↑↓]", re.sub("<span[^>]*>|</span>", "", text))
    assert heads == ["Bits per sample", "Label agreement", "Fréchet distance (FID)", "Coverage"]
