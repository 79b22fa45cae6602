"""The verbs of the command line. Each parses, calls `api`, and prints; what is heavy is imported inside."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from noiseforge.evaluation.figures import Evaluation
    from noiseforge.terminal import Terminal
    from noiseforge.training.progress import Progress
    from noiseforge.training.run import Run

app = typer.Typer(
    name="noiseforge",
    help="Train, sample, judge and diagnose generative models. Begin with `noiseforge demo`.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

RunFolder = Annotated[str, typer.Argument(metavar="RUN", help="Folder of a training, as `train` makes.")]
Source = Annotated[
    str | None,
    typer.Option("--data", metavar="SOURCE", help="digits, ring, a folder, .csv, .npy, ...; default: the recipe's."),
]
BadFile = Annotated[Literal["error", "skip"], typer.Option("--on-bad-file", help="What to do with a damaged file.")]
Json = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON; - for standard output."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the random draws.")]
RecipeSeed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed; default: the recipe's.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Label = Annotated[str | None, typer.Option("--label", help="One class, by name or index, of a conditional model.")]
Modality = Annotated[Literal["image", "audio", "sequence"], typer.Option("--modality", help="What to generate.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is at --out.")]

# Every verb takes --seed and --device, so that a script can pass them to all; where nothing is drawn or
# computed, help does not show them.
NoSeed = Annotated[int | None, typer.Option("--seed", hidden=True)]
NoDevice = Annotated[str | None, typer.Option("--device", hidden=True)]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"noiseforge {version('noiseforge')}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Train, sample, judge and diagnose generative models. Begin with `noiseforge demo`."""


@app.command()
def demo(
    modality: Modality = "image",
    out: Annotated[
        str | None, typer.Option("--out", help="Run folder; where it is taken, the first free of OUT-2, OUT-3, ...")
    ] = None,
    json_to: Json = None,
    seed: RecipeSeed = None,
    device: Device = "auto",
) -> None:
    """Train on embedded data, sample, evaluate, and write a report: a few minutes."""
    from noiseforge import api
    from noiseforge.demonstrations import demonstration

    terminal = open_terminal(json_to)
    shown = demonstration(modality)
    wanted = out or shown.out
    folder = api.free_folder(wanted)
    if folder != Path(wanted):
        terminal.say(f"{wanted} is taken and stays as it is: this demo goes to {folder}")
    if shown.note:
        terminal.say(shown.note)
    terminal.say(f"Training a generator of {shown.of} (recipe {shown.recipe}) ...")
    run = _train(terminal, shown.recipe, out=folder, seed=seed, device=device)
    samples = run.path / shown.samples
    api.sample(run, shown.clips, seed=seed or 0, device=device, out=samples, overwrite=True)
    evaluation, report = evaluated(terminal, run, seed=seed or 0, device=device)
    terminal.say(f"{shown.look} {samples}, then look at {report}")
    terminal.next(command("sample", run.path, *shown.more), command("diagnose", run.path), "noiseforge recipes")
    made = {"run": str(run.path), "samples": str(samples), "report": str(report)}
    terminal.finish({**made, "evaluation": evaluation.model_dump(mode="json")})


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Recipe to show; a pattern lists.")] = None,
    json_to: Json = None,
    seed: NoSeed = None,
    device: NoDevice = None,
) -> None:
    """List the recipes, or show one."""
    from noiseforge.recipes.load import header, list_recipes, read_recipe, recipe_text

    terminal = open_terminal(json_to)
    pattern = name or "*"
    if set(pattern) & set("*?["):
        names = list_recipes(pattern)
        claims = {each: header(each).partition("\n")[0] for each in names}
        terminal.table(("recipe", "claim"), claims.items())
        terminal.next("noiseforge recipes NAME", "noiseforge train NAME")
        terminal.finish({"recipes": claims})
        return
    terminal.say(recipe_text(pattern).rstrip())
    terminal.next(command("train", pattern))
    terminal.finish({"name": name, "header": header(pattern), "recipe": read_recipe(pattern).model_dump(mode="json")})


@app.command()
def data(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="digits, ring, grid, a folder, .npy, .npz, ...")],
    size: Annotated[int | None, typer.Option("--size", help="Side in pixels to bring pictures to.")] = None,
    sample_rate: Annotated[int | None, typer.Option("--sample-rate", help="Hz to resample sound to.")] = None,
    labels_from: Annotated[
        str | None, typer.Option("--labels-from", help="Of sound: '{label}_{speaker}_{index}', or folders.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", help="Of sound: index:0-4, speaker:NAME; of series: time, blocks:10, all; stratified."),
    ] = None,
    window: Annotated[
        int | None, typer.Option("--window", min=1, help="Steps of the windows to cut series in.")
    ] = None,
    stride: Annotated[int | None, typer.Option("--stride", min=1, help="Steps from a window to the next.")] = None,
    layout: Annotated[str | None, typer.Option("--layout", help="Of arrays of series: ntc or nct.")] = None,
    id_column: Annotated[str | None, typer.Option("--id", help="Column that tells series apart.")] = None,
    time_column: Annotated[str | None, typer.Option("--time", help="Column of time stamps.")] = None,
    label_column: Annotated[str | None, typer.Option("--label", help="Column of the classes of series.")] = None,
    scan: Annotated[str | None, typer.Option("--scan", help="Pictures as series: rows, pixels or permuted.")] = None,
    on_bad_file: BadFile = "error",
    json_to: Json = None,
    seed: Seed = 0,
    device: NoDevice = None,
) -> None:
    """Describe a data source: count, shape, classes, ranges, and what is wrong with it."""
    from noiseforge import api
    from noiseforge.terminal import show_mapping

    terminal = open_terminal(json_to)
    with terminal.progress("reading"):
        description = api.describe(
            source,
            size=size,
            sample_rate=sample_rate,
            labels_from=labels_from,
            split=split,
            window=window,
            stride=stride,
            layout=layout,
            id_column=id_column,
            time_column=time_column,
            label_column=label_column,
            scan=scan,
            seed=seed,
            on_bad_file=on_bad_file,
        )
    show_mapping(terminal, description)
    terminal.next(command("train", "RECIPE", "--data", source))
    terminal.finish(description)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name, YAML file, or with --resume a run.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE ...]", help="Settings to change: train.batch=32")
    ] = None,
    source: Source = None,
    out: Annotated[str | None, typer.Option("--out", help="Run folder; default: runs/ and the recipe's name.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all and show the plan; write nothing.")] = False,
    on_bad_file: BadFile = "error",
    json_to: Json = None,
    seed: RecipeSeed = None,
    device: Device = "auto",
) -> None:
    """Train what a recipe describes."""
    from noiseforge import api
    from noiseforge.terminal import show_mapping

    terminal = open_terminal(json_to)
    chosen: dict[str, Any] = {
        "data": source,
        "overrides": overrides or (),
        "seed": seed,
        "on_bad_file": on_bad_file,
    }
    if dry_run:
        plan = api.plan(recipe, device=device, **chosen)
        terminal.say(plan.recipe)
        show_mapping(terminal, plan.summary)
        terminal.finish({"recipe": plan.recipe, **plan.summary})
        return
    run = _train(terminal, recipe, out=out, resume=resume, device=device, **chosen)
    looks = run.path / "samples"
    terminal.say(f"Trained: {run.path}" + (f". Look at {looks}" if looks.is_dir() else ""))
    terminal.next(command("evaluate", run.path), command(*api.to_show(run)))
    terminal.finish({"run": str(run.path), "last": api.last_records(run)})


@app.command()
def sample(
    run: RunFolder,
    out: Annotated[str, typer.Option("--out", help=".png, .gif, .csv, .wav, .npy, .npz, or a folder to fill.")],
    n: Annotated[int, typer.Option("-n", "--count", min=1, help="How many.")] = 64,
    label: Label = None,
    prior: Annotated[
        Literal["normal", "mixture"], typer.Option("--from", help="The prior, or a mixture fitted to the data's codes.")
    ] = "normal",
    speaker: Annotated[str | None, typer.Option("--speaker", help="One speaker, by name or index, of sound.")] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="Of each clip; default: as training clips.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", min=0.0, help="Of sound: below 1 keeps to what is likely.")
    ] = None,
    nucleus: Annotated[
        float | None, typer.Option("--nucleus", min=0.0, max=1.0, help="Of sound: the probability to draw from.")
    ] = None,
    denoised: Annotated[
        bool, typer.Option("--denoised", help="Of series: without what a model knows to be noise.")
    ] = False,
    overwrite: Overwrite = False,
    json_to: Json = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Draw samples from a trained model."""
    from noiseforge import api
    from noiseforge.terminal import sound_text

    terminal = open_terminal(json_to)
    chosen: dict[str, Any] = {"label": label, "prior": prior, "seed": seed, "device": device, "overwrite": overwrite}
    chosen |= {"speaker": speaker, "seconds": seconds, "temperature": temperature, "nucleus": nucleus}
    chosen["denoised"] = denoised or None
    began = time.monotonic()
    opened = api.opened_run(run)
    with terminal.progress(f"sampling {n:,}") as show:
        samples = api.draw(opened, n, out=out, progress=lambda share: show(share, "generating"), **chosen)
    spent, way, rate = time.monotonic() - began, api.generated_by(opened), opened.spec.sample_rate
    if samples.length is not None and rate:
        terminal.say(sound_text(int(samples.length.sum()), rate, spent, way))
    terminal.say(f"{n:,} samples: look at {out}")
    terminal.next(command("evaluate", run))
    drawn = {"out": out, "n": n, "label": label, "from": prior, "speaker": speaker, "seed": seed}
    terminal.finish({**drawn, "generated_by": way})


@app.command()
def interpolate(
    run: RunFolder,
    out: Annotated[str, typer.Option("--out", help="A strip (.png), a film (.gif), or .npy.")],
    start: Annotated[int, typer.Option("--from", min=0, help="Seed of the first sample.")] = 0,
    end: Annotated[int, typer.Option("--to", min=0, help="Seed of the last.")] = 1,
    steps: Annotated[int, typer.Option("--steps", min=2, help="Samples on the way, both ends included.")] = 9,
    label: Label = None,
    straight: Annotated[bool, typer.Option("--straight", help="Straight on, and not along a sphere.")] = False,
    overwrite: Overwrite = False,
    json_to: Json = None,
    seed: NoSeed = None,
    device: Device = "auto",
) -> None:
    """Walk through the latent space from one sample to another."""
    from noiseforge import api

    terminal = open_terminal(json_to)
    chosen: dict[str, Any] = {"label": label, "straight": straight, "device": device}
    api.interpolate(run, start, end, steps, out=out, overwrite=overwrite, **chosen)
    terminal.say(f"{steps} steps from seed {start} to seed {end}: look at {out}")
    terminal.next(command("neighbours", run, "--out", "neighbours.png"))
    terminal.finish({"out": out, "from": start, "to": end, "steps": steps})


def open_terminal(json_to: str | None) -> Terminal:
    """What a command speaks through."""
    from noiseforge.terminal import Terminal

    return Terminal(json_to)


def _train(terminal: Terminal, recipe: str, **chosen: Any) -> Run:
    from noiseforge import api
    from noiseforge.terminal import terms_text, training_text

    with terminal.progress("training") as show:

        def progress(at: Progress) -> None:
            show(at.images / max(at.total_images, 1), training_text(at), terms_text(at.terms))

        return api.train(recipe, progress=progress, **chosen)


def evaluated(terminal: Terminal, subject: str | Run, **chosen: Any) -> tuple[Evaluation, str]:
    """Measures and shows the table; gives the evaluation and the path of the report."""
    from noiseforge import api
    from noiseforge.terminal import show_evaluation

    with terminal.progress("evaluating") as show:
        evaluation = api.evaluate(subject, progress=lambda stage, share: show(share, stage), **chosen)
    show_evaluation(terminal, evaluation)
    return evaluation, f"{api.report_folder(subject, chosen.get('out'))}/index.html"


def command(*words: object) -> str:
    """A command to type, with what needs quotes quoted."""
    return shlex.join(["noiseforge", *map(str, words)])
