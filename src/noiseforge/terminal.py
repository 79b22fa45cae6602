"""What the command line shows: results as tables, progress as a bar or as plain lines, JSON for machines."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from noiseforge.files import write_text

if TYPE_CHECKING:
    from noiseforge.evaluation.diagnosis import Diagnosis
    from noiseforge.evaluation.figures import Evaluation, Figure
    from noiseforge.training.progress import Progress

LINE_EVERY = 10.0
"""Seconds between progress lines where there is no terminal to draw a bar on."""
PLAIN_WIDTH = 140
"""Columns of a table where there is no terminal to ask for its width."""


class Showing(Protocol):
    """Shows one state of a piece of work: its share in [0, 1], what to say of it, and the detail below."""

    def __call__(self, share: float, text: str, detail: str = "") -> None: ...


class Terminal:
    """Where one command writes to: people's output, and the JSON that `--json` asked for.

    With `--json -` standard output carries the JSON alone, and what is for people goes to standard error.
    """

    def __init__(self, json_to: str | None = None) -> None:
        self._json_to = json_to
        self._out = _console(stderr=json_to == "-")
        self._progress = _console(stderr=True)

    def say(self, text: str = "") -> None:
        """One line for people, as it is."""
        self._out.print(text, markup=False, highlight=False, soft_wrap=True)

    def next(self, *commands: str) -> None:
        """What to do now."""
        for command in commands:
            self.say(f"next: {command}")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Rows below their column names; pairs where there are no names."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.show_header = bool(columns)
        for column in columns or ("", ""):
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(_literal(str(cell)) for cell in row))
        self._out.print(table)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Writes the JSON, where it was asked for."""
        text = json.dumps(result, indent=2, ensure_ascii=False)
        if not _first_process():
            return
        if self._json_to == "-":
            sys.stdout.write(text + "\n")
        elif self._json_to is not None:
            path = Path(self._json_to)
            if path.exists() and not path.is_file():  # a device or a pipe: nothing that could be replaced
                path.write_text(text + "\n", encoding="utf-8")
            else:
                write_text(path, text + "\n")

    @contextmanager
    def progress(self, title: str) -> Iterator[Showing]:
        """Within the block a bar, pulsing until it is told a share; plain lines where there is no terminal."""
        if not self._progress.is_terminal:
            yield PlainLines(self._progress, title)
            return
        bar = Bar(TextColumn(title), BarColumn(bar_width=20), TextColumn("{task.description}"))
        task = bar.add_task("", total=None)
        below = Text(no_wrap=True, overflow="ellipsis")

        def show(share: float, text: str, detail: str = "") -> None:
            bar.update(task, total=1.0, completed=share, description=_literal(text))
            below.plain = detail

        with Live(Group(bar, below), console=self._progress, transient=True):
            yield show


class PlainLines:
    """Progress for a log file: a line now and then, none for what is quickly over."""

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title, self._last = console, title, time.monotonic()

    def __call__(self, share: float, text: str, detail: str = "") -> None:
        if time.monotonic() - self._last >= LINE_EVERY:
            self._last = time.monotonic()
            line = f"{self._title} {share:4.0%}  {text}  {detail}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def training_text(progress: Progress) -> str:
    """Where a training is: examples seen, examples a second, time left.

    >>> from types import SimpleNamespace
    >>> at = SimpleNamespace(images=640, total_images=6400, images_per_second=128.0, seconds_left=45.0, unit="clips")
    >>> training_text(at)
    '640 of 6,400 clips, 128 clips/s, 0:45 left'
    """
    minutes, seconds = divmod(round(progress.seconds_left), 60)
    hours, minutes = divmod(minutes, 60)
    left = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    seen = f"{progress.images:,} of {progress.total_images:,} {progress.unit}"
    return f"{seen}, {progress.images_per_second:,.0f} {progress.unit}/s, {left} left"


def sound_text(samples: int, sample_rate: int | None, seconds: float, way: str | None = None) -> str:
    """How much sound was made, how long it took against how long it plays, and by what where there are several ways.

    >>> sound_text(16_000, 8_000, 0.5, "torch queues (fp32)")
    '2.0 s of sound in 0.5 s, loading and saving included: 4.0 times as fast as it plays, by torch queues (fp32)'
    """
    plays = samples / (sample_rate or 1)
    return (
        f"{plays:.1f} s of sound in {seconds:.1f} s, loading and saving included: "
        f"{plays / max(seconds, 1e-9):.1f} times as fast as it plays" + (f", by {way}" if way else "")
    )


def terms_text(terms: Mapping[str, float]) -> str:
    """The named terms, each player's together.

    >>> terms_text({"discriminator/adversarial": 1.2, "discriminator/r1": 0.01, "generator/adversarial": 0.6931})
    'discriminator: adversarial 1.2, r1 0.01; generator: adversarial 0.693'
    """
    players: dict[str, list[str]] = {}
    for name, value in terms.items():
        player, _, term = name.partition("/")
        players.setdefault(player, []).append(f"{term} {value:.3g}")
    return "; ".join(f"{player}: {', '.join(said)}" for player, said in players.items())


def show_evaluation(terminal: Terminal, evaluation: Evaluation) -> None:
    """The table of figures, each with its protocol."""
    columns = ("metric", "better", "value", "95 % interval", "floor", "N", "extractor", "seed")
    terminal.table(columns, [_figure_row(figure) for figure in evaluation.figures])
    notes: dict[str, list[str]] = {}
    for figure in evaluation.figures:
        for note in filter(None, figure.note.split("; ")):
            notes.setdefault(note, []).append(figure.metric)
    for note, metrics in notes.items():
        terminal.say(f"note: {note} ({', '.join(metrics)})")
    if evaluation.judge_accuracy is not None:
        terminal.say(f"The judge classifies {evaluation.judge_accuracy:.2%} of the real test examples correctly.")


def show_diagnosis(terminal: Terminal, diagnosis: Diagnosis) -> None:
    """The verdict, each finding with its numbers, and what to change."""
    terminal.say(f"{diagnosis.verdict}: {diagnosis.summary}")
    for finding in diagnosis.findings:
        terminal.say(f"{finding.level:>6}  {finding.name}: {finding.sentence}")
        for number in finding.numbers:
            limit = f"alarm {number.alarm} {number.threshold:.3g}"
            terminal.say(f"          {number.name}: {number.value:.3g} ({limit})")
        if finding.advice:
            terminal.say(f"          to do: {finding.advice}")


def show_mapping(terminal: Terminal, mapping: Mapping[str, Any]) -> None:
    """A description: one row for each key, and one for each thing that is described on its own, such as a column."""
    rows: list[tuple[str, str]] = []
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value and all(isinstance(inner, Mapping) for inner in value.values()):
            rows.append((key, ""))
            rows += [(f"  {name}", _plain(inner)) for name, inner in value.items()]
        else:
            rows.append((key, _plain(value)))
    terminal.table((), rows)


def _figure_row(figure: Figure) -> tuple[str, ...]:
    from noiseforge.evaluation.glossary import ARROWS

    interval = "" if figure.low is None or figure.high is None else f"{figure.low:.4g} .. {figure.high:.4g}"
    floor = "" if figure.floor is None else f"{figure.floor:.4g}"
    return (
        figure.metric,
        ARROWS[figure.better][0],
        f"{figure.value:.4g}",
        interval,
        floor,
        _counts(figure),
        figure.extractor,
        str(figure.seed),
    )


def _counts(figure: Figure) -> str:
    """Samples against real examples, or either alone."""
    if figure.n_fake and figure.n_real:
        return f"{figure.n_fake:,} vs {figure.n_real:,}"
    return f"{figure.n_fake:,}" if figure.n_fake else f"{figure.n_real:,} real"


def _plain(value: object) -> str:
    """A JSON value as people read it.

    >>> _plain({"a": 1234, "b": 0.123456}), _plain([8, 8]), _plain([])
    ('a 1,234, b 0.1235', '8, 8', 'none')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(inner) for inner in value) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _literal(text: str) -> str:
    """Text in which rich sees no markup."""
    return text.replace("[", r"\[")


def _first_process() -> bool:
    """Whether this is the one of several processes, started by a launcher, that speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, quiet=not _first_process())
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console
