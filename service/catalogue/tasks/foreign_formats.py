"""Tell what a file is that its ending does not say, by its first bytes. Reads none of these formats."""

from typing import BinaryIO

MAGIC_BYTES = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook: unpack it, or save the sheet as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "an Excel workbook: save the sheet as CSV UTF-8",
    b"\x1f\x8b": "compressed with gzip: unpack it",
    b"BZh91AY&SY": "compressed with bzip2: unpack it",
    b"\xfd7zXZ": "compressed with xz: unpack it",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it",
    b"PAR1\x15": "Parquet: end its name in .parquet",
    b"ARROW1\0\0": "an Arrow file: write it as Parquet",
    b"\xff\xfe": "UTF-16 or UTF-32: save it as UTF-8",
    b"\xfe\xff": "UTF-16: save it as UTF-8",
    b"version https://git-lfs": "a pointer of Git LFS and not the file: fetch that with `git lfs pull`",
    b"<!doctype html": "a page of HTML: the download gave another page than the file",
    b"<html": "a page of HTML: the download gave another page than the file",
}
"""What a file is that begins with these bytes, letters in any case, and what to do with it."""
LONGEST = max(map(len, MAGIC_BYTES))
OF_PARQUET = b"PAR1"


def foreign_format(file: BinaryIO, *, is_parquet: bool) -> str | None:
    """Return what a file is and what to do with it, or None if its first bytes are not known."""
    file.seek(0)
    start = file.read(LONGEST)
    if is_parquet and start.startswith(OF_PARQUET):
        return None
    known = (says for magic, says in MAGIC_BYTES.items() if start.lower().startswith(magic.lower()))
    return next(known, None)
