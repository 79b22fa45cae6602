"""Finds recipes, reads their YAML, applies `extends:` and dotted overrides, and checks the result."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from noiseforge.errors import UserError, unknown
from noiseforge.recipes.problems import explain
from noiseforge.recipes.schema import Recipe

FOLDER = Path(__file__).parent
LARGEST = 1_000_000
"""Bytes. A recipe is a page; whatever is larger is some other file."""


class RecipeLoader(yaml.SafeLoader):
    """The safe loader, which reads 1e-4 as a number too, and refuses aliases and keys that stand twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """One node; aliases are refused, as a few of them can unfold to gigabytes."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="YAML aliases (*name) are not allowed", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """One mapping; a key that stands twice is refused, as the first would be ignored in silence."""
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                problem = f"key {key.value!r} stands twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


RecipeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def list_recipes(pattern: str = "*") -> list[str]:
    """Names of the built-in recipes that match a shell pattern, numbers in order of size.

    >>> "image/digits" in list_recipes("image/*")
    True
    """
    names = (path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.yaml"))
    return sorted((name for name in names if fnmatch(name, pattern)), key=_natural)


def read_recipe(recipe: str | Path | Recipe, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe with overrides such as `train.batch=32`, checked.

    Args:
        recipe: a built-in name, a YAML file, a Recipe, or a run folder (whose `spec` is left out).
        overrides: `group.key=value`, the value as YAML reads it.

    Raises:
        UserError: no such recipe, YAML that cannot be read, an unknown key, a value out of its range.
    """
    settings = recipe.model_dump(mode="json") if isinstance(recipe, Recipe) else _resolve(locate(recipe), ())
    settings.pop("spec", None)
    for override in overrides:
        _apply(settings, override)
    return parse_recipe(settings)


def parse_recipe(settings: Mapping[str, Any]) -> Recipe:
    """The recipe that a mapping of plain values describes.

    Raises:
        UserError: an unknown key or a value out of its range: the first of them, and how many more there are.
    """
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        model = settings.get("model")
        raise UserError(explain(error, Recipe, model.get("kind") if isinstance(model, dict) else None)) from None


def recipe_text(name_or_path: str | Path) -> str:
    """The text of a recipe as it was written, comments included."""
    path = locate(name_or_path)
    if path.stat().st_size > LARGEST:
        raise UserError(f"{path} is larger than {LARGEST:,} bytes: expected a recipe, a page of YAML")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8: expected a recipe, a page of YAML") from None


def header(name_or_path: str | Path) -> str:
    """The comment that a recipe opens with: its claim, command, expected figure and time."""
    lines = []
    for line in recipe_text(name_or_path).splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").removeprefix(" "))
    return "\n".join(lines).strip()


def to_yaml(recipe: Recipe) -> str:
    """The resolved recipe, every setting written out; `read_recipe` reads it back equal."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        UserError: not YAML (with the line), not a mapping, not text, or too large.
    """
    settings = _parse_yaml(recipe_text(path), path)
    if not isinstance(settings, dict):
        raise UserError(f"{path}: expected settings such as `train:`, got {type(settings).__name__}")
    return settings


def locate(name_or_path: str | Path) -> Path:
    """The file of a built-in recipe's name, of a path to a recipe, or of a run folder."""
    path, name = Path(name_or_path).expanduser(), str(name_or_path)
    if name in list_recipes():
        return FOLDER / f"{name}.yaml"
    if path.is_dir():
        path = path / "recipe.yaml"
    if path.is_file():
        return path
    if path.suffix in {".yaml", ".yml"}:
        raise UserError(f"no recipe file at {path}: check the path, or see `noiseforge recipes` for built-in names")
    raise unknown("recipe", name, list_recipes())


def _resolve(path: Path, extended_by: tuple[Path, ...]) -> dict[str, Any]:
    """The settings of a file on top of those that it extends."""
    if path in extended_by:
        raise UserError(f"{path} extends itself by way of {extended_by[-1]}")
    settings = read_yaml(path)
    base = settings.pop("extends", None)
    if base is None:
        return settings
    if not isinstance(base, str):
        raise UserError(f"{path}: extends must be one recipe's name or path, got {base!r}")
    beside = path.parent / base
    return _merge(_resolve(beside if beside.is_file() else locate(base), (*extended_by, path)), settings)


def _merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `change`, group by group."""
    merged = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _apply(settings: dict[str, Any], override: str) -> None:
    """Writes `group.key=value` into the settings."""
    dotted, equals, text = override.partition("=")
    keys = dotted.split(".")
    if not equals or not all(keys):
        raise UserError(f"expected an override such as train.batch=32, got {override!r}")
    for key in keys[:-1]:
        if not isinstance(settings.get(key), dict):
            settings[key] = {}
        settings = settings[key]
    settings[keys[-1]] = _scalar(text)


def _scalar(text: str) -> Any:
    """The value that YAML reads in `text`; what is no YAML, or empty, is text.

    >>> _scalar("1e-4"), _scalar("true"), _scalar("blur:1.5 | gaussian:0.1"), _scalar("")
    (0.0001, True, 'blur:1.5 | gaussian:0.1', '')
    """
    try:
        return _parse_yaml(text, None) if text else ""
    except UserError:
        return text


def _parse_yaml(text: str, path: Path | None) -> Any:
    try:
        return yaml.load(text, Loader=RecipeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise UserError(f"{path}, line {line}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except (RecursionError, ValueError):
        raise UserError(f"{path}: not a recipe: nested too deeply, or with a value that does not exist") from None


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts cifar10 before cifar100."""
    return list(_pieces(name))


def _pieces(name: str) -> Iterator[tuple[int, str]]:
    for piece in re.findall(r"\d+|\D+", name):
        yield (int(piece), "") if piece.isdigit() else (-1, piece)
