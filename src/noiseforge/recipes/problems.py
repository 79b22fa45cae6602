"""Turns what pydantic finds wrong in a recipe into one line that says what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

Group = type[BaseModel]

SYMBOLS = {
    "greater than or equal to": ">=",
    "less than or equal to": "<=",
    "greater than": ">",
    "less than": "<",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid tuple": "a list",
}


def explain(error: ValidationError, root: Group, kind: str | None = None) -> str:
    """The first problem in one line, and how many more there are.

    Args:
        error: what pydantic raised for `root`.
        root: the model at the top, from which the known keys of each level are read.
        kind: which branch of a union by `kind` was meant; its keys alone are suggested.
    """
    problems = _without_wrong_branches([(_path(root, each), each) for each in error.errors()])
    path, first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return _sentence(root, path, first, kind) + more


def keys(group: Group, prefix: str = "", *, kind: str | None = None) -> Iterator[str]:
    """Every dotted key below a group of settings; in a union by `kind`, of the branch that is meant."""
    for name, field in group.model_fields.items():
        yield prefix + name
        for inner in _groups(field.annotation):
            if (
                kind is None
                or "kind" not in inner.model_fields
                or inner.model_fields["kind"].default in (kind, PydanticUndefined)
            ):
                yield from keys(inner, f"{prefix}{name}.", kind=kind)


def _sentence(root: Group, path: tuple[str, ...], problem: Any, branch: str | None) -> str:
    name, kind, message = ".".join(path), problem["type"], problem["msg"]
    if kind == "extra_forbidden":
        return _unknown_key(root, path, branch)
    if kind == "union_tag_invalid":
        context = problem["ctx"]
        key = context["discriminator"].strip("'")
        return f"{name}.{key} must be {context['expected_tags']}, got {context['tag']!r}"
    if kind == "union_tag_not_found":
        name = f"{name}.{problem['ctx']['discriminator']}".replace("'", "")
    if kind in {"missing", "union_tag_not_found"}:
        return f"{name} is missing: give it in the recipe, or as {name}=VALUE"
    if kind == "value_error":
        return f"{name}: {' '.join(message.removeprefix('Value error, ').split())}"
    if kind in {"model_type", "model_attributes_type"}:
        return f"{name} must be a group of settings, got {_shown(problem['input'])}"
    message = message.split(", unable")[0].removeprefix("Input should be ").removeprefix("Input should have ")
    for words, symbol in SYMBOLS.items():
        message = message.replace(words, symbol)
    return f"{name} must be {message}, got {_shown(problem['input'])}"


def _unknown_key(root: Group, path: tuple[str, ...], kind: str | None) -> str:
    """Says which key was meant: a near one beside it, or the same one in another group."""
    level, leaf = path[:-1], path[-1]
    beside = sorted({key for group in _at(root, level) for key in group.model_fields})
    near = [".".join((*level, key)) for key in get_close_matches(leaf, beside, n=1)]
    leaves = {key: key.split(".")[-1] for key in keys(root, kind=kind)}
    meant = get_close_matches(leaf, set(leaves.values()), n=1)
    elsewhere = [key for key, name in leaves.items() if name in meant]
    hint = f", did you mean {' or '.join(near or elsewhere)}?" if near or elsewhere else "."
    where = f" in {'.'.join(level)}" if level else ""
    return f"unknown key {'.'.join(path)}{hint} Known{where}: {', '.join(beside)}"


def _path(root: Group, problem: Any) -> tuple[str, ...]:
    """The dotted key of a problem, without the names of union branches that pydantic puts between."""
    path: tuple[str, ...] = ()
    for part in problem["loc"]:
        if isinstance(part, int) or any(part in group.model_fields for group in _at(root, path)):
            path = (*path, str(part))
    return (*path, str(problem["loc"][-1])) if problem["type"] == "extra_forbidden" else path


def _at(root: Group, path: tuple[str, ...]) -> list[Group]:
    """The groups of settings that may stand at a dotted key: several for a union, none for a plain value."""
    groups = [root]
    for key in path:
        fields = [group.model_fields[key] for group in groups if key in group.model_fields]
        groups = [inner for field in fields for inner in _groups(field.annotation)]
    return groups


def _groups(annotation: Any) -> list[Group]:
    """The models inside a type: itself, or those among the branches of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [group for branch in get_args(annotation) for group in _groups(branch)]


def _without_wrong_branches(problems: list[tuple[tuple[str, ...], Any]]) -> list[tuple[tuple[str, ...], Any]]:
    """One problem for each key: of the branches of a union, the one that the value was meant for.

    A mapping was meant for the branch that is a group, so that its own keys' problems are kept; anything else
    for the plain branch.
    """
    kept: dict[tuple[str, ...], Any] = {}
    for path, problem in problems:
        is_group = isinstance(problem["input"], dict)
        deeper = any(len(other) > len(path) and other[: len(path)] == path for other, _ in problems)
        if is_group and deeper:
            continue
        if path not in kept or kept[path]["type"] == "model_type":
            kept[path] = problem
    return list(kept.items())


def _shown(value: Any) -> str:
    text = re.sub(r"\s+", " ", repr(value))
    return text if len(text) <= 60 else text[:57] + "..."
