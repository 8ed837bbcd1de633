"""A user's own script that runs one trial: what it is given, what it answers, and what its end means.

It gets the parameters in a JSON file and in its environment, and as arguments where the command has
placeholders. It tells its metrics in a JSON file, or as a JSON object in its last line. Knows no server.
"""

import json
import os
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from api_schemas.ask_and_tell import SuggestedTrial
from api_schemas.search_space import Parameterization, ParameterValue
from paretune.errors import ParetuneError, TrialInfeasible
from service.runtime.process_lifetime import die_with_parent

PARAMETERS_FILE = "parameters.json"
METRICS_FILE = "metrics.json"
ALL_ARGUMENTS = "{arguments}"
POLL_SECONDS = 0.5
GRACE_SECONDS = 20.0
"""How long a script that is told to end may take to write what it has."""

INFEASIBLE_CODE = os.EX_DATAERR
TAIL_LINES = 20
LONGEST_LINE = 500
OUT_OF_MEMORY = re.compile(
    r"OutOfMemoryError|CUDA out of memory|\bMemoryError\b|CUBLAS_STATUS_ALLOC_FAILED|Cannot allocate memory"
)


class ScriptFailed(ParetuneError):
    """The script broke, or told no metrics."""


class ScriptMissing(ParetuneError):
    """The command cannot be started at all."""


@dataclass(frozen=True)
class Ended:
    """How a script ended: its exit code, negative for a signal, and the last lines that it wrote."""

    code: int
    output: Sequence[str]
    errors: Sequence[str]


def command_for(command: Sequence[str], trial: SuggestedTrial, *, folder: Path) -> list[str]:
    """Return the command of a trial, its placeholders filled in.

    `{arguments}` alone becomes `--NAME=VALUE` for every parameter; `{NAME}`, `{seed}`, `{number}`,
    `{parameters}` (the file of them) and `{metrics}` (the file to write) are replaced wherever they stand.
    """
    known: dict[str, str] = {
        "seed": str(trial.seed),
        "number": str(trial.number),
        "parameters": str(folder / PARAMETERS_FILE),
        "metrics": str(folder / METRICS_FILE),
        **{name: _word(value) for name, value in trial.parameters.items()},
    }
    filled: list[str] = []
    for part in command:
        if part == ALL_ARGUMENTS:
            filled += [f"--{name}={_word(value)}" for name, value in trial.parameters.items()]
        else:
            filled.append(_filled(part, known))
    return filled


def environment_for(trial: SuggestedTrial, *, folder: Path) -> dict[str, str]:
    """Return what the environment of a trial's script has beside the agent's own."""
    values = {
        f"PARETUNE_PARAMETER_{_variable(name)}": _word(value) for name, value in trial.parameters.items()
    }
    return {
        **values,
        "PARETUNE_PARAMETERS": str(folder / PARAMETERS_FILE),
        "PARETUNE_METRICS": str(folder / METRICS_FILE),
        "PARETUNE_SEED": str(trial.seed),
        "PARETUNE_TRIAL": str(trial.number),
        "PARETUNE_STUDY": trial.study_id,
    }


def run_script(
    command: Sequence[str],
    trial: SuggestedTrial,
    *,
    folder: Path,
    show: Callable[[str], None],
    check: Callable[[], None],
) -> Mapping[str, float]:
    """Run the script of a trial to its end, and return its metrics.

    Args:
        command: What to start, with placeholders.
        trial: What to try.
        folder: An empty one for the files of the trial.
        show: Gets each line that the script writes.
        check: Is called twice a second; what it raises ends the script.

    Raises:
        TrialInfeasible: If the script ran out of memory, or ended with 65.
        ScriptFailed: If it ended otherwise, or told no metrics.
        ScriptMissing: If there is no such command.
    """
    _write_parameters(trial.parameters, folder / PARAMETERS_FILE)
    ended = _run(
        command_for(command, trial, folder=folder),
        environment=environment_for(trial, folder=folder),
        show=show,
        check=check,
    )
    raise_for(ended)
    return metrics_of(ended, file=folder / METRICS_FILE)


def raise_for(ended: Ended) -> None:
    """Raise what the end of a script means for its trial; nothing where it ended well.

    Raises:
        TrialInfeasible: For 65, for out-of-memory errors, and for SIGKILL, with which the kernel ends what
            takes too much memory.
        ScriptFailed: For anything else but 0.
    """
    last = next((line.strip() for line in reversed(ended.errors) if line.strip()), "")
    said = f": {last[:LONGEST_LINE]}" if last else ""
    if ended.code == 0:
        return
    if ended.code == INFEASIBLE_CODE:
        raise TrialInfeasible(f"the script says that these parameters cannot work{said}")
    out_of_memory = next((line for line in reversed(ended.errors) if OUT_OF_MEMORY.search(line)), None)
    if out_of_memory is not None:
        raise TrialInfeasible(f"out of memory: {out_of_memory.strip()[:LONGEST_LINE]}")
    if ended.code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        raise TrialInfeasible("killed (SIGKILL), as the kernel does when memory runs out")
    how = f"by {signal.strsignal(-ended.code)}" if ended.code < 0 else f"with exit code {ended.code}"
    raise ScriptFailed(f"the script ended {how}{said}")


def metrics_of(ended: Ended, *, file: Path) -> dict[str, float]:
    """Return the numbers that a script told: in its file, else as a JSON object in its last line.

    Raises:
        ScriptFailed: If it told none.
    """
    last = next((line for line in reversed(ended.output) if line.strip()), "")
    source, text = ("its last line", last)
    if file.is_file():
        source, text = f"{METRICS_FILE}", file.read_text(encoding="utf-8", errors="replace")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    numbers = {
        str(name): float(value)
        for name, value in (found.items() if isinstance(found, dict) else ())
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    if not numbers:
        raise ScriptFailed(
            f"the script ended well and told no metrics: {source} is no JSON object of numbers. Write one to "
            "the file that PARETUNE_METRICS names, or print it last"
        )
    return numbers


def _run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    show: Callable[[str], None],
    check: Callable[[], None],
) -> Ended:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={"PYTHONUNBUFFERED": "1", **os.environ, **environment},
            # A Ctrl-C in the terminal reaches the agent, which gives the trial back and ends the script.
            start_new_session=True,
            # An agent that is killed keeps no lease, so another one will run the trial.
            preexec_fn=partial(die_with_parent, signal.SIGTERM),
        )
    except OSError as error:
        raise ScriptMissing(f"Cannot start '{command[0]}': {error.strerror}.") from error
    assert process.stdout is not None  # noqa: S101  both are pipes
    assert process.stderr is not None  # noqa: S101
    output, errors = (deque[str](maxlen=TAIL_LINES) for _ in range(2))
    readers: list[threading.Thread] = []
    broken: list[BaseException] = []
    try:
        # In here already: whatever interrupts from now on ends the script.
        for stream, tail in ((process.stdout, output), (process.stderr, errors)):
            reader = threading.Thread(target=_forward, args=(stream, tail, show, broken), daemon=True)
            reader.start()
            readers.append(reader)
        while process.poll() is None:
            if broken:
                raise broken[0]
            check()
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
    finally:
        _end(process)
        for reader in readers:
            reader.join(GRACE_SECONDS)
        process.stdout.close()
        process.stderr.close()
    return Ended(process.returncode, tuple(output), tuple(errors))


def _end(process: subprocess.Popen[str]) -> None:
    """Ask the script and everything that it started to end; kill what is left after a while."""
    try:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
    finally:
        # Also where somebody has no patience and interrupts again.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _forward(
    stream: IO[str], tail: deque[str], show: Callable[[str], None], broken: list[BaseException]
) -> None:
    """Show each line; keep what showing raises, and read on: a script whose pipe is full stands still."""
    for line in stream:
        tail.append(line.rstrip("\n"))
        try:
            if not broken:
                show(line.rstrip("\n"))
        # Such as SystemExit, where the terminal is gone. It is the agent's to raise, not this thread's.
        except BaseException as error:  # noqa: BLE001
            broken.append(error)


def _write_parameters(parameters: Parameterization, file: Path) -> None:
    file.write_text(json.dumps(parameters, indent=2) + "\n", encoding="utf-8")


def _filled(part: str, known: Mapping[str, str]) -> str:
    # Braces of anything else, of JSON or a shell, stay as they are.
    return re.sub(r"\{([^{}]+)\}", lambda found: known.get(found[1], found[0]), part)


def _word(value: ParameterValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _variable(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())
