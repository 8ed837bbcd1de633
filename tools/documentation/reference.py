"""The reference, made from the source when the site is built: nothing on these pages is written by hand.

`pages()` has the text of each by its path below docs/. Knows nothing of the site's builder.
"""

import ast
import importlib
import inspect
import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from typer.main import get_command

from api_schemas.peft.registry import OWN_MODULES, PeftMethod
from api_schemas.studies import StudyCreate
from paretune.cli import app
from paretune.command_groups import GROUPS
from service.api.protocol import problem_pages
from service.settings import Settings
from tools.documentation.schemas import cell, code, reached, section, type_words

ROOT = Path(__file__).parents[2]


def pages() -> dict[str, str]:
    """Return every page of the reference by its path."""
    return {
        "reference/command_line.md": command_line(),
        "reference/api.md": api(json.loads((ROOT / "openapi.json").read_text(encoding="utf-8"))),
        "reference/study.md": study(),
        "reference/settings.md": settings(),
        "reference/methods.md": methods(),
        "reference/problems.md": problems(),
    }


def command_line() -> str:
    """Return the page of all commands with their arguments and options, in the groups of `--help`."""
    lines = ["# Command line", "", "`paretune --help` and `paretune COMMAND --help` say the same.", ""]
    commands = get_command(app).commands.items()  # type: ignore[attr-defined]  # a group
    for group in GROUPS:
        lines += [f"## {group}", ""]
        for name, command in commands:
            if command.rich_help_panel == group and not command.hidden:
                lines += _command(command, f"paretune {name}")
    return "\n".join(lines)


def _command(command: Any, path: str) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from _command(inner, f"{path} {name}")
        return
    yield from (f"### {path}", "", inspect.cleandoc(command.help or ""), "")
    rows = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
    if rows:
        yield from ("| | otherwise | |", "| --- | --- | --- |", *rows, "")


def _parameter(parameter: Any) -> str:
    is_option = parameter.param_type_name == "option"
    names = (
        [*parameter.opts, *parameter.secondary_opts]
        if is_option
        else [parameter.metavar or parameter.name.upper()]
    )
    otherwise = "required" if parameter.required else _default(parameter.default)
    variable = f" (`{parameter.envvar}`)" if parameter.envvar else ""
    return (
        f"| `{'`, `'.join(names)}` | {otherwise} | {cell(getattr(parameter, 'help', None) or '')}{variable} |"
    )


def _default(value: object) -> str:
    """Return a default as it is typed; what means nothing is not shown."""
    shown = value if isinstance(value, str | int | float | Path) and not isinstance(value, bool) else None
    return "" if shown is None or str(shown) == "" else f"`{shown}`"


def api(document: Mapping[str, Any]) -> str:
    """Return the page of all routes and of the schemas that they take and give."""
    lines = [
        "# API",
        "",
        "Made from `openapi.json`, which is the contract. [HTTP](../http.md) has what all routes share.",
        "All but those of `health` need a key: `Authorization: Bearer ptk_...`.",
        "Errors are [problems](problems.md).",
        "",
    ]
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            shown = by_tag.setdefault(operation["tags"][0], [])
            shown += _operation(method, path, operation)
    for tag, shown in by_tag.items():
        lines += [f"## Routes: {tag}", "", *shown]
    components = document["components"]["schemas"]
    lines += ["## Schemas", ""]
    for name in sorted(reached(document["paths"], components)):
        lines += section(name, components[name], level=3)
    return "\n".join(lines)


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> list[str]:
    lines = [f"### {method.upper()} {path}", "", operation.get("description", ""), ""]
    for parameter in operation.get("parameters", ()):
        words = cell(parameter.get("description", ""))
        lines.append(f"- {parameter['in']} `{parameter['name']}`: {type_words(parameter['schema'])}. {words}")
    for content, body in operation.get("requestBody", {}).get("content", {}).items():
        lines.append(f"- body (`{content}`): {type_words(body.get('schema', {}))}")
    for status, answer in operation["responses"].items():
        for content, body in answer.get("content", {}).items():
            if status.startswith("2"):
                lines.append(f"- {status} (`{content}`): {type_words(body.get('schema', {}))}")
    refused = [status for status in sorted(operation["responses"]) if not status.startswith("2")]
    return [*lines, *([f"- else: {', '.join(refused)}"] if refused else []), ""]


def study() -> str:
    """Return the page of every field of a study, as YAML and JSON have it."""
    schema = StudyCreate.model_json_schema()
    lines = [
        "# Study",
        "",
        "Every field of a study file. [Writing a study](../studies.md) explains them by example.",
        "",
    ]
    components = schema.get("$defs", {})
    lines += section("StudyCreate", schema)
    for name in reached(schema, components):
        lines += section(name, components[name])
    return "\n".join(lines)


def settings() -> str:
    """Return the page of all settings of the server and its workers, with what the source says of each."""
    said = _attribute_docstrings(Settings)
    lines = [
        "# Settings",
        "",
        "Environment variables of the server and its workers, read once at the start.",
        "",
    ]
    lines += ["| variable | otherwise | |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        alias: Any = field.validation_alias
        choices = getattr(alias, "choices", [alias or f"PARETUNE_{name.upper()}"])
        default = (
            "required"
            if field.is_required()
            else ""
            if field.default is None
            else code(_plain(field.default))
        )
        names = ", ".join(f"`{choice}`" for choice in choices)
        lines.append(f"| {names} | {default} | {cell(said.get(name, ''))} |")
    return "\n".join([*lines, "", "[Operations](../operations.md#settings) explains the most used ones.", ""])


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _attribute_docstrings(owner: type) -> dict[str, str]:
    """Return the strings that stand under the fields of a class."""
    lines = [line for node in ast.parse(inspect.getsource(owner)).body for line in getattr(node, "body", ())]
    found = {}
    for field, said in pairwise(lines):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(said, ast.Expr)
            and isinstance(said.value, ast.Constant)
        ):
            found[ast.unparse(field.target)] = str(said.value.value)
    return found


def methods() -> str:
    """Return the page of the registry of PEFT methods."""
    lines = ["# Methods", "", "The registry. [Methods](../methods.md) has formulas, papers and counts.", ""]
    lines += ["## Modules of our own", "", "Any union of them may stand in a layer.", ""]
    lines += ["| module | | sizes |", "| --- | --- | --- |"]
    lines += [
        f"| `{name}` | {module.label} | {', '.join(f'`{field}`' for field in module.size_fields)} |"
        for name, module in OWN_MODULES.items()
    ]
    lines += ["", "## Methods that are alone in their trial", ""]
    lines += [
        "| method | | settings | usual learning rate | in the preset `methods` |",
        "| --- | --- | --- | ---: | --- |",
    ]
    for method in PeftMethod:
        known = method.definition
        reads = ", ".join(f"`{field}`" for field in known.reads)
        if method is not PeftMethod.MODULES:
            offered = "yes" if known.in_preset else "no"
            lines.append(f"| `{method}` | {known.label} | {reads} | {known.learning_rate:g} | {offered} |")
    return "\n".join([*lines, ""])


def problems() -> str:
    """Return the page of every error that the API answers with."""
    importlib.import_module("service.api.app")  # with all of it every error is there
    lines = [
        "# Problems",
        "",
        "What went wrong is a document of RFC 9457; its `type` ends in one of these names.",
        "",
    ]
    lines += ["| problem | status | title | what to do |", "| --- | ---: | --- | --- |"]
    for slug, error in problem_pages.problems().items():
        title, _, cure = inspect.cleandoc(error.__doc__ or "").partition("\n\n")
        lines.append(f"| `{slug}` | {int(error.status)} | {cell(title)} | {cell(cure)} |")
    return "\n".join([*lines, ""])
