"""A file that would take all memory, all time or the process itself takes a child's, and is a 422."""

import os
import resource
import subprocess
import threading
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from api_schemas.tasks import Task
from service.catalogue.tasks import reading
from service.catalogue.tasks.facts import SourceFiles
from service.catalogue.tasks.reading import ReadersBusy, facts_of, summaries_of
from service.catalogue.tasks.reading_process import answer
from service.errors import InvalidTask, InvalidTaskFile

CSV = "text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(80))


def bomb(folder: Path) -> Path:
    """Write some bytes that are 2.7 GB of text."""
    file = folder / "bomb.parquet"
    texts = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 300, pyarrow.int32()), ["x" * 9_000_000])
    pyarrow.parquet.write_table(
        pyarrow.table({"text": texts}), file, compression="zstd", store_schema=False, write_statistics=False
    )
    assert file.stat().st_size < 2_000
    return file


def source(file: Path) -> SourceFiles:
    return SourceFiles(file.parent, (("train", (file.name,)),))


def test_a_file_that_unpacks_to_gigabytes_leaves_this_process_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both as an upload and as a task; the sentence names the limit."""
    file = bomb(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    monkeypatch.setattr(reading, "READING_MEMORY", 300_000_000)
    limit = "takes more than 300,000,000 bytes of memory to read, which is the limit"
    with pytest.raises(InvalidTaskFile, match=f"'bomb.parquet' {limit}"):
        summaries_of([file])
    with pytest.raises(InvalidTask, match=limit) as refused:
        facts_of(Task(name="file:bomb.parquet", label_column="text"), source(file))
    assert refused.value.errors[0].pointer == "/configuration/task/name"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_a_reader_that_crashes_or_takes_too_long_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next file is read as ever."""
    file = tmp_path / "a.csv"
    file.write_text(CSV)
    for name, value, complaint in (
        ("CHILD", "no.such.module", "its reader crashed"),
        ("READING_SECONDS", 0.01, r"more than 0\.01 seconds"),
    ):
        with monkeypatch.context() as changed:
            changed.setattr(reading, name, value)
            with pytest.raises(InvalidTaskFile, match=rf"'a\.csv' .*{complaint}"):
                summaries_of([file])
    [found] = summaries_of([file])
    assert found is not None
    assert (found.rows, found.columns, found.bytes) == (80, ("text", "label"), len(CSV))


def test_files_are_read_by_one_child_and_each_version_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is gone meanwhile is none; a bad one is named."""
    files = [tmp_path / f"{number}.csv" for number in range(3)]
    for file in files:
        file.write_text(CSV)
    files[1].unlink()
    assert [found and found.rows for found in summaries_of(files)] == [80, None, 80]
    monkeypatch.setattr(reading, "CHILD", "no.such.module")
    assert [found and found.rows for found in summaries_of(files)] == [80, None, 80]
    monkeypatch.undo()
    files[1].write_text("text\n\n")
    with pytest.raises(InvalidTaskFile, match=r"'1\.csv' is empty"):
        summaries_of(files)


def test_the_child_knows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the environment it gets what Python needs."""
    seen: list[dict[str, str]] = []
    start = subprocess.Popen

    def watched(*arguments: object, env: dict[str, str], **options: object) -> object:
        seen.append(env)
        return start(*arguments, env=env, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", watched)
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    (tmp_path / "a.csv").write_text(CSV)
    summaries_of([tmp_path / "a.csv"])
    assert seen
    assert not any(name.startswith(("DATABASE", "PARETUNE", "BROKER", "AWS", "HF_")) for name in seen[0])


def test_too_many_readers_at_once_are_told_to_come_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """503 with the seconds, and nothing is read."""
    none_left = threading.BoundedSemaphore(1)
    none_left.acquire()
    monkeypatch.setattr(reading, "_readers", none_left)
    monkeypatch.setattr(reading, "READING_SECONDS", 0.01)
    (tmp_path / "a.csv").write_text(CSV)
    with pytest.raises(ReadersBusy) as refused:
        summaries_of([tmp_path / "a.csv"])
    assert refused.value.headers["Retry-After"] == "5"


@pytest.mark.parametrize("name", ["link.csv", "pipe.csv", "folder.csv", "nothing.csv"])
def test_the_child_reads_files_only(tmp_path: Path, name: str) -> None:
    """What took the place of one since is gone; a pipe does not make it wait."""
    (tmp_path / "a.csv").write_text(CSV)
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    assert answer({"table": str(tmp_path / name), "name": name}) == {"gone": True}
