"""Data sets of the hub, up to the network's edge: a server here speaks enough of its protocol."""

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pyarrow
import pyarrow.parquet
import pytest

from api_schemas.tasks import Task
from service.catalogue import hub as hub_module
from service.catalogue.tasks import hub_datasets
from service.catalogue.tasks.cards import Card, read_card
from service.catalogue.tasks.hub_datasets import download, split_files
from service.catalogue.tasks.sources import load_task, settled, task_facts
from service.errors import InvalidTask, ServiceError, UnknownTask

COMMIT = "c" * 40
CARD = """---
license: mit
configs:
- config_name: small
  data_files:
  - {split: train, path: small/train-*}
  - {split: test, path: [small/test-*]}
- config_name: large
  data_files: large/*.parquet
---
# A data set
"""


def parquet(count: int, *, start: int = 0) -> bytes:
    buffer = io.BytesIO()
    rows = [{"text": f"text {n}", "label": n % 2} for n in range(start, start + count)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def jsonl(column: str, *, start: int = 0) -> bytes:
    rows = ({column: f"text {n}", "label": n % 2} for n in range(start, start + 40))
    return "\n".join(map(json.dumps, rows)).encode()


NAMED = """---
dataset_info:
  features:
  - {name: text, dtype: string}
  - name: label
    dtype: {class_label: {names: {'0': neg, '1': pos, '2': neutral}}}
---
"""

REPOSITORIES = {
    "good/mixed": {"train-0.jsonl": jsonl("text"), "train-1.jsonl": jsonl("sentence", start=40)},
    "good/named": {
        "README.md": NAMED.encode(),
        "train.jsonl": jsonl("text"),
        "unsupervised.jsonl": jsonl("x"),
    },
    "good/reviews": {
        "README.md": b"# no front matter",
        "data/train-00000-of-00002.parquet": parquet(80),
        "data/train-00001-of-00002.parquet": parquet(80, start=80),
        "data/validation-00000-of-00001.parquet": parquet(20, start=200),
        "loader.py": b"raise SystemExit",
    },
    "good/subsets": {
        "README.md": CARD.encode(),
        "small/train-0.parquet": parquet(80),
        "small/test-0.parquet": parquet(10, start=300),
        "large/part.parquet": parquet(160),
    },
    "good/nothing": {"image.png": b""},
}


class Hub(BaseHTTPRequestHandler):
    """Revision, tree and files of a few data sets."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        api = parts[0] == "api"
        name = "/".join(parts[2:4] if api else parts[1:3])
        if name == "gated/reviews":
            self.answer(403, b"", {"X-Error-Code": "GatedRepo"})
        elif name not in REPOSITORIES:
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif "nowhere" in parts:
            self.answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif api and parts[4] == "tree":
            self.answer(200, json.dumps(self.tree(REPOSITORIES[name])).encode(), {})
        elif api:
            self.answer(200, json.dumps({"id": name, "sha": COMMIT}).encode(), {})
        else:
            content = REPOSITORIES[name]["/".join(parts[5:])]
            etag = hashlib.sha1(content, usedforsecurity=False).hexdigest()
            self.answer(200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'})

    def tree(self, files: dict[str, bytes]) -> list[dict[str, Any]]:
        return [
            {"type": "file", "path": path, "size": len(content),
             "oid": hashlib.sha1(content, usedforsecurity=False).hexdigest()}
            for path, content in files.items()
        ]  # fmt: skip

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    there = partial(huggingface_hub.snapshot_download, endpoint=endpoint, cache_dir=tmp_path / "hub")
    monkeypatch.setattr(hub_datasets, "snapshot_download", there)
    monkeypatch.setattr(hub_module, "ENDPOINT", endpoint)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def get(name: str, *, max_bytes: int = 10**6, **fields: str) -> Any:
    return download(Task.model_validate({"name": f"hub:{name}", **fields}), max_bytes=max_bytes)


@pytest.mark.parametrize(
    ("name", "fields", "complaint"),
    [
        ("gated/reviews", {}, "is gated: accept its licence"),
        ("nobody/nothing", {}, "no repository 'nobody/nothing'"),
        ("good/reviews", {"revision": "nowhere"}, "no such revision"),
        ("good/nothing", {}, "no CSV, TSV, JSONL or Parquet"),
        ("good/reviews", {"subset": "tiny"}, "no files of a subset 'tiny'"),
        ("good/subsets", {}, "name one of the subsets: small, large"),
        ("good/subsets", {"subset": "tiny"}, "no subset 'tiny'; there are: small, large"),
        ("../good/reviews", {}, "must read 'hub:ORGANISATION/NAME'"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_what_the_hub_cannot_give_is_explained(name: str, fields: dict[str, str], complaint: str) -> None:
    """Each refusal has its sentence."""
    with pytest.raises(ServiceError, match=complaint):
        get(name, **fields)


@pytest.mark.usefixtures("hub")
def test_a_data_set_over_the_limit_is_not_downloaded(tmp_path: Path) -> None:
    """The listing has the sizes."""
    with pytest.raises(InvalidTask, match="the limit is 1,000"):
        get("good/reviews", max_bytes=1000)
    assert not list(tmp_path.rglob("*.parquet"))


def test_an_unreachable_hub_offers_a_local_file(hub: ThreadingHTTPServer) -> None:
    """The message says how to go on without it."""
    hub.shutdown()
    hub.server_close()
    with pytest.raises(UnknownTask, match="file:NAME"):
        get("good/reviews")


def test_named_splits_are_used_and_the_commit_is_pinned(hub: ThreadingHTTPServer) -> None:
    """A test split is held out of training where the files name none; a cached commit needs no network."""
    task = settled(Task(name="hub:good/reviews"), data_dir=None, tenant_id="me")
    assert task.revision == COMMIT
    facts = task_facts(task, data_dir=None)
    assert (facts.labels, facts.split_rows) == (("0", "1"), (140, 20, 20))
    hub.shutdown()
    hub.server_close()
    data = load_task(task, data_dir=None)
    assert data.facts == facts
    assert {row.text for row in data.splits["validation"]} == {f"text {n}" for n in range(200, 220)}


@pytest.mark.usefixtures("hub")
def test_a_subset_is_what_the_card_says() -> None:
    """Patterns of the card choose the files; nothing else is downloaded."""
    found = get("good/subsets", subset="small")
    assert found.chosen.files == {"train": ("small/train-0.parquet",), "test": ("small/test-0.parquet",)}
    assert not (found.folder / "large").exists()


@pytest.mark.usefixtures("hub")
def test_files_with_other_columns_are_named() -> None:
    """400 of 440 rows would pass for empty ones."""
    task = settled(Task(name="hub:good/mixed"), data_dir=None, tenant_id="me")
    for read in (task_facts, load_task):
        with pytest.raises(
            InvalidTask, match=r"'train-1\.jsonl' has no column 'text'; there are: sentence, label"
        ):
            read(task, data_dir=None)


@pytest.mark.usefixtures("hub")
def test_classes_have_the_names_of_the_card_and_other_splits_are_counted() -> None:
    """Without a class that no row has."""
    task = settled(Task(name="hub:good/named"), data_dir=None, tenant_id="me")
    data = load_task(task, data_dir=None)
    assert data.facts == task_facts(task, data_dir=None)
    assert data.facts.labels == ("neg", "pos")
    assert sum(data.facts.split_rows) == 40
    assert data.dropped["files_of_other_splits"] == 1


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["all.csv"], {"train": ["all.csv"]}),
        (
            ["train.csv", "dev.csv", "test.csv"],
            {"train": ["train.csv"], "validation": ["dev.csv"], "test": ["test.csv"]},
        ),
        (
            ["my_train_1.jsonl", "my_train_2.jsonl", "eval/x.jsonl"],
            {"train": ["my_train_1.jsonl", "my_train_2.jsonl"], "test": ["eval/x.jsonl"]},
        ),
        (["train.csv", "train.parquet"], {"train": ["train.parquet"]}),
        (["contest.csv"], {"train": ["contest.csv"]}),
    ],
)  # fmt: skip
def test_without_a_card_names_tell_the_splits(names: list[str], found: dict[str, list[str]]) -> None:
    """As whole words, in files or folders; one format is read."""
    chosen = split_files(names, Card(), subset=None, name="a/b")
    assert {split: list(files) for split, files in chosen.files.items()} == found


def test_a_data_set_without_training_rows_is_refused() -> None:
    """It says which splits there are."""
    with pytest.raises(InvalidTask, match="no train split; it has: test"):
        split_files(["test.csv"], Card(), subset=None, name="a/b")


@pytest.mark.parametrize("text", ["", "# Title", "---\n# nothing\n---\n", "---\nconfigs: 3\n---\n"])
def test_a_card_that_says_nothing_is_no_error(text: str) -> None:
    """Then the names of the files decide."""
    assert read_card(text) == Card()


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("---\n: [\n---\n", r"card \(README.md\) cannot be read"),
        (f"---\n{LAUGHS}configs:\n- config_name: *a8\n  data_files: x.csv\n---\n", "100,000 values"),
        (f"---\nconfigs: {'[' * 2000}\n---\n", "nested more than 50 deep"),
    ],
)
def test_a_card_that_cannot_be_read_is_refused(text: str, complaint: str) -> None:
    """Rather than its files mixed; a few bytes that stand for gigabytes are not unfolded."""
    with pytest.raises(InvalidTask, match=complaint):
        read_card(text)


def test_the_default_configuration_is_meant_where_none_is_named() -> None:
    """By its name; the others are other sets of rows."""
    card = read_card(
        "---\nconfigs:\n- {config_name: b, data_files: b.csv}\n"
        "- {config_name: default, data_files: [{split: train, path: a.csv}]}\n---\n"
    )
    chosen = split_files(["a.csv", "b.csv"], card, subset=None, name="a/b")
    assert (chosen.files, chosen.left_out) == ({"train": ("a.csv",)}, 0)


FOLDERS = """---
configs:
- {config_name: en, data_dir: en}
- {config_name: fr, data_dir: ./fr/, data_files: [{split: train, path: "*.csv"}]}
dataset_info:
- config_name: en
  features: [{name: label, dtype: {class_label: {names: [no, 'yes']}}}]
- config_name: fr
  features: [{name: label, dtype: {class_label: {names: [non, oui]}}}]
---
"""


def test_configurations_with_folders_are_subsets() -> None:
    """One must be named; its splits are told by its files, its classes by its own names."""
    names = ["en/train.csv", "en/test.csv", "en/extra.csv", "fr/a.csv", "fr/deep/b.csv", "train.csv"]
    card = read_card(FOLDERS)
    with pytest.raises(InvalidTask, match="name one of the subsets: en, fr") as refused:
        split_files(names, card, subset=None, name="a/b")
    assert refused.value.errors[0].pointer == "/configuration/task/subset"
    chosen = split_files(names, card, subset="en", name="a/b")
    assert chosen.files == {"train": ("en/train.csv",), "test": ("en/test.csv",)}
    assert (chosen.left_out, chosen.class_names) == (1, {"label": ("false", "yes")})
    chosen = split_files(names, card, subset="fr", name="a/b")
    assert (chosen.files, chosen.class_names) == ({"train": ("fr/a.csv",)}, {"label": ("non", "oui")})


@pytest.mark.parametrize(
    ("configs", "complaint"),
    [
        ("[{config_name: a, data_dir: x}, {config_name: b}]", "name one of the subsets: a, b"),
        (
            "[{data_files: [{split: train_en, path: a.csv}, {split: train_fr, path: b.csv}]}]",
            "train_en, train_fr",
        ),
        ("[{data_files: [{split: train, path: a.json}]}]", "of the split 'train' the card names a.json"),
        ("[{data_files: [{split: unsupervised, path: a.csv}]}]", "no train split"),
        (
            "[{data_files: [{split: train, path: a.csv}, {split: test, path: t.json}]}]",
            "split 'test' .* t.json",
        ),
        (
            "[{data_files: [{split: train, path: [a.csv, c.csv.gz]}]}]",
            "split 'train' .* names c.csv.gz, among",
        ),
        (
            "[{config_name: a, data_files: a.csv}, {config_name: a, data_files: b.csv}]",
            "two subsets called 'a'",
        ),
        (
            "[{config_name: a, default: true, data_files: a.csv}, {config_name: b, default: true}]",
            "name one of the subsets: a, b",
        ),
    ],
)
def test_a_card_that_leaves_open_what_to_train_on_is_refused(configs: str, complaint: str) -> None:
    """Nothing is guessed from names that it does not use."""
    with pytest.raises(InvalidTask, match=complaint):
        split_files(["a.csv", "b.csv"], read_card(f"---\nconfigs: {configs}\n---\n"), subset=None, name="a/b")


@pytest.mark.parametrize(
    "configs",
    [
        "[{data_files: [{split: train, path: a.csv}, {split: unsupervised, path: b.csv}]}]",
        "[{data_files: {train: a.csv, holdout: b.csv}}]",
        "[{config_name: x, data_files: a.csv}, {config_name: y, default: true, data_files: [a.csv]}]",
        "[{data_files: [{split: training, path: ./a*.csv}]}]",
    ],
)
def test_only_named_splits_of_the_default_are_read(configs: str) -> None:
    """Whatever else there is."""
    card = read_card(f"---\nconfigs: {configs}\n---\n")
    assert split_files(["a.csv", "b.csv"], card, subset=None, name="a/b").files == {"train": ("a.csv",)}


def test_patterns_stay_within_their_folder_and_cost_no_time() -> None:
    """Two stars cross folders."""
    card = read_card("---\nconfigs: [{data_files: [{split: train, path: 'data/**/x*.csv'}]}]\n---\n")
    names = ["data/x.csv", "data/a/b/x1.csv", "data/a/y.csv", "other/x.csv"]
    chosen = split_files(names, card, subset=None, name="a/b")
    assert chosen.files == {"train": ("data/x.csv", "data/a/b/x1.csv")}
    slow = "a*" * 40 + "b"
    card = read_card(f"---\nconfigs: [{{data_files: [{{split: train, path: '{slow}'}}]}}]\n---\n")
    with pytest.raises(InvalidTask, match="the card names"):
        split_files(["a" * 240 + ".csv"], card, subset=None, name="a/b")


def test_cards_and_files_have_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """In numbers, too."""
    paths = ", ".join(f"{n}.csv" for n in range(1_001))
    card = read_card(f"---\nconfigs: [{{data_files: [{{split: train, path: [{paths}]}}]}}]\n---\n")
    with pytest.raises(InvalidTask, match="more than 1,000 patterns"):
        split_files(["1.csv"], card, subset=None, name="a/b")


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("limit", "complaint"), [("MAX_CARD_BYTES", "README.md"), ("MAX_HUB_FILES", "3 files")]
)
def test_a_data_set_beyond_the_limits_is_refused(
    limit: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its files are fetched."""
    monkeypatch.setattr(hub_datasets, limit, 1)
    with pytest.raises(InvalidTask, match=f"{complaint}.*the limit is 1"):
        get("good/reviews")
