"""Where what trials trained is kept: a folder, or a bucket of an S3-compatible store. Knows no study.

Paths are relative to the store, with slashes, and always of our own making. What is written into
`new_folder` appears under its path as a whole, file by file complete; nobody is told of the path before.
Endpoint and credentials of S3 are those of the process (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and so on);
nothing here reads, shows or logs them.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any

import fsspec
import stamina

from service.errors import ServiceError
from service.settings import settings

CHUNK_BYTES = 4 * 2**20
"""What a download holds in memory; each chunk of an object is one ranged request."""
UPLOAD_PATIENCE_SECONDS = 120.0
DELETED_AT_ONCE = 1000
"""What S3 takes in one request."""
S3_OPTIONS: dict[str, Any] = {
    # A listing from before would show what another process has deleted since.
    "use_listings_cache": False,
    "skip_instance_cache": True,
    "config_kwargs": {
        "connect_timeout": 3,
        "read_timeout": 20,
        "retries": {"mode": "standard", "total_max_attempts": 2},
    },
}
UNFINISHED, REPLACED = "unfinished", "replaced"
ATTEMPT = re.compile(rf"(\d+)|\.(\d+)\.(?:{UNFINISHED}|{REPLACED})")


class ArtifactStoreAway(ServiceError, status=HTTPStatus.SERVICE_UNAVAILABLE):
    """The artifact store cannot be used.

    The answer says whether it is out of reach, refuses the server's credentials, or is not there. Nothing
    that was saved is lost; try again once the operator has mended it.
    """

    headers = MappingProxyType({"Retry-After": "5"})


def artifact_store() -> "ArtifactStore":
    """Return this process's store.

    Raises:
        ArtifactStoreAway: If it needs a package that is not installed.
    """
    return store_at(settings().artifacts_url)


@cache
def store_at(url: str) -> "ArtifactStore":
    """Open the store at a path, a `file://` or an `s3://` URL; connects to nothing yet."""
    return ArtifactStore(url)


class ArtifactStore:
    """Files by path. Threads may share it; a process must not inherit it over a fork."""

    def __init__(self, url: str) -> None:
        on_s3 = url.startswith("s3://")
        try:
            self._files, self._root = fsspec.core.url_to_fs(url, **(S3_OPTIONS if on_s3 else {}))
        except ImportError as error:
            raise ArtifactStoreAway("s3:// needs a package: pip install 'paretune[s3]'.") from error
        self.url = url
        self.folder = None if on_s3 else Path(self._root)
        self._errors = _errors_of_s3() if on_s3 else (OSError,)

    @property
    def writing_place(self) -> Path:
        """Where files lie on this machine while they are written."""
        return self.folder or Path(tempfile.gettempdir())

    def free_bytes(self) -> int:
        """Return how much more can be written on this machine."""
        place = self.writing_place
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free

    def check(self) -> None:
        """See whether the store is there and lets this process in.

        Raises:
            ArtifactStoreAway: If not, with the cure.
        """
        try:
            with self._told():
                if self.folder is not None:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    os.scandir(self.folder).close()
                else:
                    bucket, prefix, _ = self._files.split_path(self._root)
                    self._files.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
        except FileNotFoundError as error:
            reason = "The artifact store has no such bucket. Create it, or correct PARETUNE_ARTIFACTS_URL."
            raise ArtifactStoreAway(reason) from error

    @contextmanager
    def new_folder(self, path: str, *, patience_seconds: float = UPLOAD_PATIENCE_SECONDS) -> Iterator[Path]:
        """Give a folder on this machine to write flat files into; after the block they are kept under `path`.

        What lay there before is replaced. If the block raises, nothing is kept.

        Raises:
            OSError: If this machine cannot keep them.
            ArtifactStoreAway: If S3 has refused them for `patience_seconds`.
        """
        if self.folder is not None:
            with _renamed_into(self.folder / path) as folder:
                yield folder
            return
        with tempfile.TemporaryDirectory(prefix="paretune-artifacts-") as name:
            yield Path(name)
            for file in sorted(Path(name).iterdir()):
                self._upload(file, f"{path}/{file.name}", patience_seconds=patience_seconds)

    def delete_earlier_attempts(self, path: str) -> None:
        """Delete what attempts with smaller numbers left beside the attempt's path, `.../NUMBER`."""
        parent, _, name = path.rpartition("/")
        if not name.isdecimal():
            return
        if self.folder is not None:
            for left in (self.folder / parent).glob("*"):
                if _attempt_of(left.name) < int(name):
                    shutil.rmtree(left, ignore_errors=True)
            return
        found = self.files(parent)
        self.delete(
            [left for left in found if _attempt_of(left[len(parent) + 1 :].split("/")[0]) < int(name)]
        )

    def size_bytes(self, path: str) -> int | None:
        """Return a file's size; None if there is no such file, or a link in its place or on the way.

        Raises:
            ArtifactStoreAway: If the store cannot be asked.
        """
        if self._leads_by_a_link(path):
            return None
        try:
            with self._told():
                return int(self._files.info(self._full(path))["size"])
        except FileNotFoundError:
            self.check()
            return None

    def read(self, path: str, *, start: int, stop: int) -> Iterator[bytes]:
        """Yield a file's bytes from `start` up to `stop`, chunk by chunk; each chunk blocks.

        Raises:
            ArtifactStoreAway: If the store goes away meanwhile, or the file is shorter than that.
        """
        for position in range(start, stop, CHUNK_BYTES):
            end = min(position + CHUNK_BYTES, stop)
            try:
                with self._told():
                    chunk: bytes = self._files.cat_file(self._full(path), start=position, end=end)
            except FileNotFoundError as error:
                raise ArtifactStoreAway("The file was deleted while it was read.") from error
            if len(chunk) < end - position:
                raise ArtifactStoreAway("The file ends too early.")
            yield chunk

    def files(self, folder: str) -> list[str]:
        """Return the paths of all files under a folder, however deep.

        Raises:
            ArtifactStoreAway: If the store cannot be asked.
        """
        try:
            with self._told():
                found = self._files.find(self._full(folder))
        except FileNotFoundError:
            self.check()
            return []
        return [path[len(self._root) :].lstrip("/") for path in found]

    def delete(self, paths: Iterable[str]) -> dict[str, str]:
        """Delete files, and folders that this leaves empty; give the reason for each that is still there.

        Raises:
            ArtifactStoreAway: If the store cannot be asked.
        """
        if self.folder is not None:
            return _delete_local(paths, root=self.folder)
        wanted = list(paths)
        left: dict[str, str] = {}
        for begin in range(0, len(wanted), DELETED_AT_ONCE):
            left |= self._delete_objects(wanted[begin : begin + DELETED_AT_ONCE])
        return left

    def remove_empty_folders(self, folder: str) -> None:
        """Take away folders that hold no file, the folder itself included; a bucket has none."""
        if self.folder is not None:
            for parent, _, _ in os.walk(self.folder / folder, topdown=False):
                _remove_if_empty(Path(parent))

    def _upload(self, file: Path, path: str, *, patience_seconds: float) -> None:
        # One whole object or none: S3 shows no half of it.
        for attempt in stamina.retry_context(
            on=ArtifactStoreAway, attempts=None, timeout=patience_seconds, wait_max=5.0
        ):
            with attempt:
                try:
                    with self._told():
                        self._files.put_file(str(file), self._full(path))
                except FileNotFoundError:
                    self.check()
                    raise

    def _delete_objects(self, paths: Sequence[str]) -> dict[str, str]:
        bucket, _, _ = self._files.split_path(self._root)
        keys = {self._files.split_path(self._full(path))[1]: path for path in paths}
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        try:
            with self._told():
                answer = self._files.call_s3("delete_objects", Bucket=bucket, Delete=wanted)
        except FileNotFoundError:
            return {}  # without its bucket, nothing is left
        return {keys[refused["Key"]]: refused["Code"] for refused in answer.get("Errors", [])}

    def _leads_by_a_link(self, path: str) -> bool:
        if self.folder is None:
            return False
        parts = Path(path).parts
        return any(self.folder.joinpath(*parts[:depth]).is_symlink() for depth in range(1, len(parts) + 1))

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except self._errors as error:
            raise ArtifactStoreAway(_reason(error, on_s3=self.folder is None)) from error


def _errors_of_s3() -> tuple[type[Exception], ...]:
    from aiohttp import ClientError
    from botocore.exceptions import BotoCoreError

    return (OSError, BotoCoreError, ClientError)


def _reason(error: Exception, *, on_s3: bool) -> str:
    # Not the error's own words: they may hold the endpoint, and answers go to everybody.
    if not on_s3:
        why = error.strerror if isinstance(error, OSError) else type(error).__name__
        return f"The artifact folder cannot be used ({why}). Check PARETUNE_ARTIFACTS_URL and its owner."
    if isinstance(error, PermissionError):
        return (
            "The artifact store refuses this server. Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what "
            "the bucket's policy lets them do."
        )
    return (
        f"The artifact store does not answer as it should ({type(error).__name__}). Check AWS_ENDPOINT_URL, "
        "AWS_DEFAULT_REGION and the network."
    )


@contextmanager
def _renamed_into(final: Path) -> Iterator[Path]:
    unfinished = final.with_name(f".{final.name}.{UNFINISHED}")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        for file in sorted(unfinished.iterdir()):
            _flush(file)
        _put_in_place(unfinished, final)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _put_in_place(unfinished: Path, final: Path) -> None:
    # An earlier folder leaves in one step too: half of it must not pass for a whole.
    replaced = final.with_name(f".{final.name}.{REPLACED}")
    shutil.rmtree(replaced, ignore_errors=True)
    if final.exists():
        final.replace(replaced)
    unfinished.replace(final)
    _flush(final.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _attempt_of(name: str) -> float:
    found = ATTEMPT.fullmatch(name)
    return float("inf") if found is None else int(found[1] or found[2])


def _delete_local(paths: Iterable[str], *, root: Path) -> dict[str, str]:
    left: dict[str, str] = {}
    for path in paths:
        try:
            (root / path).unlink(missing_ok=True)
        except OSError as error:
            left[path] = str(error)
            continue
        for parent in Path(path).parents[:-1]:
            if not _remove_if_empty(root / parent):
                break
    return left


def _remove_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
