"""Tasks: where the texts come from, what their labels are, and which metric is a trial's `score`.

Knows no file format and no loss.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from api_schemas.base import WITHOUT_NUL, Schema
from api_schemas.json_values import NO_BOOL_NOR_TEXT, Integer

FILE_PREFIX = "file:"
UPLOADED = re.compile(r"^file:uploads/[^/]+/")
HUB_PREFIX = "hub:"
MOST_ROWS = 2**31 - 1
DEFAULT_TEXT_COLUMN = "text"
DEFAULT_LABEL_COLUMN = "label"
TABLE_FILE = re.compile(r"\.(csv|tsv|jsonl?|ndjson|parquet|txt)(\.[a-z0-9]{1,4})?$", re.IGNORECASE)
HUB_ADDRESS = re.compile(r"https?://(www\.)?huggingface\.co/datasets/", re.IGNORECASE)


class TaskKind(StrEnum):
    """What a label is."""

    CLASSIFICATION = "classification"
    """One of two or more names."""
    MULTI_LABEL = "multi_label"
    """Any number of names, none included."""
    REGRESSION = "regression"
    """A number."""


class ScoreMetric(StrEnum):
    """The metrics that may be the `score`. More is better in all of them."""

    label: str

    def __new__(cls, name: str, label: str = "") -> Self:
        """Make a member with its name in headings; accuracy needs none there."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.label = label
        return member

    ACCURACY = "accuracy"
    """Share of texts labelled right; for several labels, of texts with exactly the right set."""
    MACRO_F1 = "macro_f1", "macro F1"
    """Mean of 2 TP / (2 TP + FP + FN) over the labels that occur among the rows."""
    MATTHEWS = "matthews", "Matthews"
    """Correlation of true and predicted classes (Gorodkin, 2004); 0 for guessing."""
    SPEARMAN = "spearman", "Spearman"
    """Correlation of the ranks."""
    PEARSON = "pearson", "Pearson"
    """Correlation of the values."""
    NEGATIVE_LOSS = "negative_loss", "negative loss"
    """The mean loss, negated."""


SCORES: Mapping[TaskKind, tuple[ScoreMetric, ...]] = {
    TaskKind.CLASSIFICATION: (
        ScoreMetric.ACCURACY,
        ScoreMetric.MACRO_F1,
        ScoreMetric.MATTHEWS,
        ScoreMetric.NEGATIVE_LOSS,
    ),
    TaskKind.MULTI_LABEL: (ScoreMetric.MACRO_F1, ScoreMetric.ACCURACY, ScoreMetric.NEGATIVE_LOSS),
    TaskKind.REGRESSION: (ScoreMetric.SPEARMAN, ScoreMetric.PEARSON, ScoreMetric.NEGATIVE_LOSS),
}
"""The scores that each kind allows. The first is the default."""


def source_meant(name: str) -> str | None:
    """Return how a name without its source is to be written; None if it may be a packaged task."""
    bare = name.strip()
    for prefix in (FILE_PREFIX, HUB_PREFIX):
        if bare.lower().startswith(prefix):
            return prefix + bare[len(prefix) :].strip()
    last = re.split(r"[/\\]", bare)[-1]
    if TABLE_FILE.search(last) and "://" not in bare:
        return FILE_PREFIX + last
    if HUB_ADDRESS.match(bare):
        bare = HUB_ADDRESS.sub("", bare).strip("/")
    return HUB_PREFIX + bare if re.fullmatch(r"[\w.-]+/[\w.-]+", bare) else None


class Folds(Schema):
    """Train and validation rows together, dealt anew into so many folds for every so many training seeds.

    With k folds, seed s validates on fold s mod k of deal s div k and trains on the others.
    """

    folds: Integer = Field(ge=2, le=20)


HOLD_OUT: Literal["hold_out"] = "hold_out"
"""The same rows are validated on with every seed."""

Resampling = Annotated[
    Annotated[Literal["hold_out"], Tag("hold-out")] | Annotated[Folds, Tag("k-fold")],
    Discriminator(lambda value: "hold-out" if isinstance(value, str) else "k-fold"),
]


class Task(Schema):
    """A data set, how to read it, and how many rows of each split to use. Null rows mean all of them.

    `name` is a packaged task, `file:NAME` (a CSV, TSV, JSONL or Parquet file of the data directory or
    of your uploads) or `hub:ORGANISATION/NAME` (a Hugging Face data set). The columns, `kind`,
    `revision`, `subset` and `sha256` belong to the sources that have them.
    """

    name: str = Field(min_length=1, max_length=500)
    train_rows: Annotated[int, Field(ge=1, le=MOST_ROWS), NO_BOOL_NOR_TEXT] | None = None
    validation_rows: Annotated[int, Field(ge=1, le=MOST_ROWS), NO_BOOL_NOR_TEXT] | None = None
    test_rows: Annotated[int, Field(ge=1, le=MOST_ROWS), NO_BOOL_NOR_TEXT] | None = None
    resampling: Resampling | None = Field(default=None, exclude_if=lambda chosen: chosen is None)
    """Which of the train and validation rows a trial validates on. Null in a request: five folds for fewer
    than 2,000 rows of your own without a validation split and without counts, else hold-out. Null in a
    stored configuration: hold-out."""
    kind: TaskKind | None = None
    """Null: the packaged task's own, and classification for a file."""
    score: ScoreMetric | None = None
    """Null: accuracy, macro-F1 or Spearman's correlation, by the kind."""
    text_column: str | None = Field(default=None, min_length=1, max_length=500, pattern=WITHOUT_NUL)
    """Null: `text`."""
    text_pair_column: str | None = Field(default=None, min_length=1, max_length=500, pattern=WITHOUT_NUL)
    """The second text of a pair, where there is one."""
    label_column: str | None = Field(default=None, min_length=1, max_length=500, pattern=WITHOUT_NUL)
    """Null: `label`."""
    missing_labels: tuple[Annotated[str, Field(max_length=500, pattern=WITHOUT_NUL)], ...] | None = Field(
        default=None, max_length=20, exclude_if=lambda labels: labels is None
    )
    """Labels that mean that there is none, such as -1; none of them with an empty list. Null: labels that
    may mean it are refused."""
    group_column: str | None = Field(default=None, min_length=1, max_length=500, pattern=WITHOUT_NUL)
    """Rows that share a value of it stay in one split."""
    revision: str | None = Field(default=None, min_length=1, max_length=500, pattern=WITHOUT_NUL)
    """Of a hub data set: a branch, tag or commit. The stored study names the commit."""
    subset: str | None = Field(default=None, min_length=1, max_length=500, pattern=WITHOUT_NUL)
    """Of a hub data set: one of its configurations."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", examples=["0" * 64])
    """Of a file: the hash of its bytes. The stored study has it, and other bytes are refused."""

    @property
    def is_file(self) -> bool:
        """Whether the rows come from a file of the data directory."""
        return self.name.startswith(FILE_PREFIX)

    @property
    def is_hub(self) -> bool:
        """Whether the rows come from a Hugging Face data set."""
        return self.name.startswith(HUB_PREFIX)

    @property
    def folds(self) -> int | None:
        """How many folds the train and validation rows are dealt into; None for hold-out."""
        return self.resampling.folds if isinstance(self.resampling, Folds) else None

    @property
    def folds_by_default(self) -> bool:
        """Whether few rows of it are dealt into folds where nobody says: a table of its owner, no counts."""
        return (self.is_file or self.is_hub) and self.train_rows is None and self.validation_rows is None

    def as_posted(self) -> Self:
        """Return a stored task as it must be posted to mean the same: hold-out, null there, is said."""
        unsaid = self.resampling is None and self.folds_by_default
        return self.model_copy(update={"resampling": HOLD_OUT}) if unsaid else self

    @property
    def owners_name(self) -> str:
        """What its owner calls it: of an upload, the name of the file without the tenant's folder."""
        return UPLOADED.sub(FILE_PREFIX, self.name)

    @property
    def resolved_kind(self) -> TaskKind:
        """What the labels are. Every packaged task is a classification."""
        return self.kind or TaskKind.CLASSIFICATION

    @property
    def resolved_score(self) -> ScoreMetric:
        """Which metric is the score: the chosen one, or the first that the kind allows."""
        return self.score or SCORES[self.resolved_kind][0]

    @model_validator(mode="after")
    def _check_the_source_is_named(self) -> Self:
        if not (self.is_file or self.is_hub) and (source := source_meant(self.name)):
            raise PydanticCustomError(
                "unnamed_source",
                "'{name}' is no packaged task. Write '{source}'{how}",
                {
                    "name": self.name,
                    "source": source,
                    "how": " and bring the file with `paretune upload`"
                    if source.startswith(FILE_PREFIX)
                    else "",
                    "pointer": "name",
                },
            )
        return self

    @model_validator(mode="after")
    def _check_fields_fit_the_source(self) -> Self:
        tabular = ("text_column", "text_pair_column", "label_column", "missing_labels", "group_column")
        foreign = [
            *(() if self.is_file or self.is_hub else (*tabular, "kind")),
            *(() if self.is_hub else ("revision", "subset")),
            *(() if self.is_file else ("sha256",)),
        ]
        for field in foreign:
            if getattr(self, field) is not None:
                raise PydanticCustomError(
                    "foreign_task_field",
                    "a task named '{name}' has no '{field}': leave it out",
                    {"name": self.name, "field": field, "pointer": field},
                )
        return self

    @model_validator(mode="after")
    def _check_score_fits_the_kind(self) -> Self:
        allowed = SCORES[self.resolved_kind]
        if self.resolved_score not in allowed:
            raise PydanticCustomError(
                "foreign_score",
                "a {kind} task has no {score}; it has: {allowed}",
                {
                    "kind": self.resolved_kind.value,
                    "score": self.resolved_score.value,
                    "allowed": ", ".join(allowed),
                    "pointer": "score",
                },
            )
        return self


class TaskFile(Schema):
    """An uploaded file: what it is called, how much is in it."""

    name: str
    rows: int
    columns: tuple[str, ...]
    bytes: int


class TaskFileHead(TaskFile):
    """An uploaded file with its first rows, five at most; long cells are cut off."""

    first_rows: tuple[tuple[str, ...], ...]


class TaskFileList(Schema):
    """Your uploaded files, by name."""

    task_files: tuple[TaskFile, ...]
