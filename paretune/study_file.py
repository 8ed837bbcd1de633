"""Studies as YAML files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from pydantic import JsonValue, TypeAdapter, ValidationError

from api_schemas.explanations import causes, explained, place_in
from api_schemas.studies import StudyCreate
from api_schemas.yaml_documents import MAX_CHARACTERS, check_yaml, load_yaml
from paretune.errors import RequestRefused, StudyFileError
from paretune.yaml_lines import key_that_is_no_text, line_of, repeated_key

MOST_BYTES = 4 * MAX_CHARACTERS
"""What so many characters may take; a longer file is not read at all."""

MOST_ERRORS = 20
MOST_CAUSES = 500
"""How many errors are looked at for what causes what."""


def read_study_file(path: Path) -> StudyCreate:
    """Read and check a study.

    Raises:
        StudyFileError: If the file is missing, is not YAML, or does not describe a study; the message
            names lines, and the nearest names to those that there are not.
    """
    text = _text(path)
    content = _content(path, text)
    try:
        return StudyCreate.model_validate(content)
    except ValidationError as error:
        schema = StudyCreate.model_json_schema(by_alias=True)
        items = causes(error.errors()[:MOST_CAUSES])
        found = [(place_in(content, item), explained(item, schema)) for item in items[:MOST_ERRORS]]
        lines = [
            f"  {_where(text, place)}{'.'.join(map(str, place)) or '(top)'}: {sentence}"
            for place, sentence in dict.fromkeys(found)
        ]
        if error.error_count() > MOST_CAUSES or len(items) > MOST_ERRORS:
            lines.append("  and more; correct these first")
        raise StudyFileError("\n".join([f"{path} does not describe a study:", *lines])) from error


def read_edits(path: Path) -> dict[str, JsonValue]:
    """Read how a clone differs from its source.

    Raises:
        StudyFileError: If the file is missing, is not YAML, or holds no fields.
    """
    try:
        return TypeAdapter(dict[str, JsonValue]).validate_python(_content(path, _text(path)))
    except ValidationError as error:
        raise StudyFileError(f"{path} must hold fields of a study, such as 'parallelism: 2'.") from error


@contextmanager
def lines_named(path: Path, *, below: str = "") -> Iterator[None]:
    """Let the server's refusal of what the file holds name the lines of the file.

    Args:
        path: The file that was sent.
        below: Where in the request its content stands, as a JSON pointer.
    """
    try:
        yield
    except RequestRefused as refused:
        text = _text(path)
        lines = {
            item.pointer: where
            for item in refused.problem.errors
            if (where := _where(text, _steps(item.pointer.removeprefix(below))))
        }
        raise RequestRefused(refused.problem, places=lines) from refused


def write_study_file(study: StudyCreate, path: Path) -> Path:
    """Write a study in full, as `read_study_file` reads it; return the path."""
    content = study.model_dump(mode="json", by_alias=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise StudyFileError(f"{path} is larger than a study may be ({MOST_BYTES:,} bytes).")
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise StudyFileError(f"Cannot read {path}: {error}.") from error


def _content(path: Path, text: str) -> object:
    try:
        check_yaml(text)
        odd = key_that_is_no_text(text)
        repeated = repeated_key(text)
        content = None if odd else load_yaml(text)
    except yaml.YAMLError as error:
        raise StudyFileError(f"{path} is not YAML: {error}") from error
    if odd is not None:
        raise StudyFileError(
            f"{path} has in line {odd[1]} a key that YAML takes for no text: {odd[0]}. Put it in quotes."
        )
    if repeated is not None:
        key, first, second = repeated
        raise StudyFileError(f"{path} has the key '{key}' twice, in lines {first} and {second}. Keep one.")
    return content


def _where(text: str, place: tuple[str | int, ...]) -> str:
    line = line_of(text, place)
    return "" if line is None else f"line {line}, "


def _steps(pointer: str) -> tuple[str | int, ...]:
    steps = (step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])
    return tuple(int(step) if step.isdecimal() else step for step in steps)
