"""Read Parquet by batches of rows, those columns alone that are asked for.

What the file says of its sizes is checked before anything is unpacked. `datasets` writes the names of
classes beside the schema.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from service.catalogue.tasks.class_names import names_of_features
from service.catalogue.tasks.limits import MAX_UNPACKED
from service.catalogue.tasks.tables import Cells, Table, check_row_count, checked_columns
from service.errors import InvalidTaskFile

BATCH_ROWS = 1024
BATCH_BYTES = 64 * 2**20


def open_parquet(file: BinaryIO, name: str) -> Table:
    """Open a Parquet file.

    Raises:
        InvalidTaskFile: If it is none, or says of itself that it is larger than is read.
    """
    import pyarrow.parquet

    file.seek(0)
    with _refused(f"'{name}' is no Parquet file"):
        opened = pyarrow.parquet.ParquetFile(file, pre_buffer=False)
        schema = opened.schema_arrow
        columns = checked_columns(schema.names, file=name)
        for column in columns:
            column.encode()
        check_row_count(opened.metadata.num_rows, name)
        class_names = _class_names(schema.metadata or {})

    def batches(wanted: Sequence[str]) -> Iterator[Any]:
        rows = _batch_rows(opened, wanted, name)
        with _refused(f"'{name}' cannot be read"):
            yield from opened.iter_batches(rows, columns=list(wanted), use_threads=False)

    def cells(wanted: Sequence[str]) -> Iterator[Cells]:
        for batch in batches(wanted):
            yield from zip(*(_cells(batch.column(column), column, name) for column in wanted), strict=True)

    def count() -> int:
        return sum(batch.num_rows for batch in batches(columns))

    return Table(name, columns, cells, count, class_names=class_names)


def _batch_rows(opened: Any, wanted: Sequence[str], name: str) -> int:
    metadata = opened.metadata
    tops = set(wanted)
    unpacked = 0
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for place in range(row_group.num_columns):
            column = row_group.column(place)
            if column.path_in_schema.split(".")[0] in tops or column.path_in_schema in tops:
                unpacked += column.total_uncompressed_size
    if unpacked > MAX_UNPACKED:
        raise InvalidTaskFile(f"'{name}' unpacks to {unpacked:,} bytes; the limit is {MAX_UNPACKED:,}.")
    rows: int = metadata.num_rows
    return max(1, min(BATCH_ROWS, BATCH_BYTES * rows // max(1, unpacked)))


def _cells(array: Any, column: str, name: str) -> list[Any]:
    import pyarrow

    types = pyarrow.types
    with _refused(f"the column '{column}' of '{name}' cannot be read"):
        if isinstance(array, pyarrow.ExtensionArray):
            array = array.storage
        if types.is_temporal(array.type) or types.is_decimal(array.type):
            array = array.cast(pyarrow.string())
        elif types.is_float16(array.type):
            array = array.cast(pyarrow.float32())
        found: list[Any] = array.to_pylist()
    return found


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    try:
        described = json.loads(metadata.get(b"huggingface", b"{}"))
    except (ValueError, RecursionError):
        return {}
    info = described.get("info") if isinstance(described, dict) else None
    features = info.get("features") if isinstance(info, dict) else None
    return names_of_features(features)


@contextmanager
def _refused(sentence: str) -> Iterator[None]:
    """Say what Arrow cannot read: damaged bytes, bad UTF-8, dates that Python has not, unknown time zones."""
    import pyarrow

    try:
        yield
    except MemoryError:
        raise
    except (pyarrow.ArrowException, ArithmeticError, LookupError, OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InvalidTaskFile(f"{sentence}: {reason:.300}") from error
