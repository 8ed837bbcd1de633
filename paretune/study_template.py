"""A study file for a file of rows, with a comment on whatever somebody may want to change."""

import json
import re
from collections.abc import Sequence

from api_schemas.tasks import Task, TaskKind
from paretune.table_look import Contents

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
NOT_PLAIN = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n"})
"""Words that YAML may take for something else than text."""

CHARACTERS_OF_A_TOKEN = 4
LENGTHS = (32, 64, 128, 256)
OF_TEN_LONGEST = 0.9
"""Texts that are not cut off."""

ROWS_WITHOUT_GPU = (640, 600, 600)
ROWS_WITH_GPU = (20_000, 4_000, 4_000)
LEAST_ROWS_OF_A_LABEL = 8
"""To train on, on average, where not all rows are taken."""
FEW_ROWS = 2000
"""Below so many rows the server deals folds, unless counts say otherwise."""

TEMPLATE = """\
# Which way of fine-tuning pays, for the rows of {file}? Check it with `paretune validate`, run it with
# `paretune run`. Every setting: docs/, and `paretune validate --json` shows what this one comes to.
display_name: {name}

configuration:
  # A model that comes with Paretune; or ORGANISATION/NAME of the Hugging Face hub, or local:FOLDER.
  backbone: all-MiniLM-L6-v2
  task:
    # The path from this file to the rows. `paretune run` brings them to the server.
    name: {task_name}
    text_column: {text}
    # For two texts: text_pair_column: ...
    label_column: {label}
    # {labels}
    kind: {kind}  # or {other_kinds}
{missing}{score}{rows}  training:
    epochs: 3
    batch_size: 32
    # Tokens of a text; the rest is cut off. Nine texts in ten are shorter, at four characters a token.
    max_length: {max_length}

search_space:
  # Unions of adapters, prefixes and LoRA, variants of LoRA, BitFit, the head alone, full fine-tuning.
  preset: auto

objectives:
  - {{metric: score, direction: maximize}}
  # Or: adapter_bytes, adapter_flops, latency_ms, peak_memory_bytes, training_seconds.
  - {{metric: trainable_parameters, direction: minimize}}

# Trainings in all. The last quarter goes to further seeds of the best trials and of the default, LoRA 8.
budget: {{trials: 24}}
# Trials that run at once: as many as there are trial workers.
parallelism: 2
"""


def study_text(contents: Contents, *, path: str, texts: Sequence[str], gpu: bool) -> str:
    """Return a study on a file as commented YAML; `path` leads from the study file to the rows."""
    task = contents.task
    text, label = str(task.text_column), str(task.label_column)
    return TEMPLATE.format(
        file=path,
        name=scalar(f"{path}: {label} of {text}"[:200]),
        task_name=scalar(f"file:{path}"),
        text=scalar(text),
        label=scalar(label),
        labels=_labels(contents),
        kind=task.resolved_kind,
        other_kinds=", ".join(kind for kind in TaskKind if kind != task.resolved_kind),
        missing=_missing(task),
        score=_score(task),
        rows=_rows(contents.split_rows, labels=len(contents.labels), gpu=gpu),
        max_length=_length(texts),
    )


def scalar(text: str) -> str:
    """Return a text as YAML writes it in one line."""
    plain = PLAIN.fullmatch(text) and text.lower() not in NOT_PLAIN
    return text if plain else json.dumps(text, ensure_ascii=False)


def _labels(contents: Contents) -> str:
    if not contents.labels:
        return "A number to predict."
    shown = ", ".join(json.dumps(label, ensure_ascii=False) for label in contents.labels[:5])
    more = ", ..." if len(contents.labels) > 5 else ""
    return f"{len(contents.labels)} labels: {shown}{more}"


def _missing(task: Task) -> str:
    if task.missing_labels is None:
        return ""
    names = json.dumps(list(task.missing_labels), ensure_ascii=False)
    return (
        "    # Labels that mean that there is none: their rows are left out. With [] they are classes.\n"
        f"    missing_labels: {names}\n"
    )


def _score(task: Task) -> str:
    if task.score is None:
        return ""
    return f"    # Most rows have one label, so accuracy would say little.\n    score: {task.score}\n"


def _rows(split_rows: Sequence[int], *, labels: int, gpu: bool) -> str:
    train, validation, test = split_rows
    most = ROWS_WITH_GPU if gpu else ROWS_WITHOUT_GPU
    most = (max(most[0], LEAST_ROWS_OF_A_LABEL * labels), *most[1:])
    if train + validation < FEW_ROWS:
        known = f"{train + validation:,}"
        return f"    # All rows: {known} to train and validate on, in folds, {test:,} to test at the end.\n"
    if train <= most[0]:
        return (
            f"    # All rows: {train:,} to train, {validation:,} to validate, {test:,} to test at the end.\n"
        )
    counts = [min(have, wanted) for have, wanted in zip(split_rows, most, strict=True)]
    why = "" if gpu else ", so that a CPU is done in minutes"
    return (
        f"    # Of {train:,}, {validation:,} and {test:,}{why}. Leave the counts out to use them all.\n"
        f"    train_rows: {counts[0]}\n    validation_rows: {counts[1]}\n    test_rows: {counts[2]}\n"
    )


def _length(texts: Sequence[str]) -> int:
    by_length = sorted(map(len, texts))
    long = by_length[int(OF_TEN_LONGEST * (len(by_length) - 1))] / CHARACTERS_OF_A_TOKEN + 2
    return next((length for length in LENGTHS if length >= long), LENGTHS[-1])
