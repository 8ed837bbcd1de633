"""How much of anything a file may have, in one place. docs/tasks.md has the table of it.

What unpacks to more than its bytes is refused while it is read, and the reading itself is done by a
child process that may have so much memory and time.
"""

MAX_ROWS = 2_000_000
"""Of all files of a task."""
MAX_COLUMNS = 1_000
LONGEST_NAME = 500
"""Characters in the name of a column or of a class."""
LONGEST_LABELS = 10_000
"""Characters of a cell in the label column."""
LONGEST_CELL = 10_000_000
"""Characters."""
LONGEST_LINE = 50_000_000
"""Bytes of a JSON object."""
MAX_UNPACKED = 1_000_000_000
"""Bytes of all cells that are read, as they are when unpacked; characters, where they are text."""
MAX_CLASSES = 10_000
LARGEST_VALUE = 1e100
"""Of a value to predict: what training squares must be a number still."""

MAX_HUB_BYTES = 2_000_000_000
MAX_HUB_FILES = 1_000
MAX_PATTERNS = 1_000
"""Of the files of one configuration, in a data set's card."""
MAX_CARD_BYTES = 2_000_000

READING_MEMORY = 2 * 2**30
"""Bytes that a child may have to read a task's files."""
READING_SECONDS = 120.0
READERS_AT_ONCE = 2
"""Children of one process."""
