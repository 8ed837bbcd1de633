"""Follow a study to its end, and take home what it recommends: front, plot, adapter and how to load it."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from api_schemas.recommendation import AgainstDefault
from api_schemas.studies import StudyRead, StudyState
from api_schemas.trials import TrialRead
from paretune.client import Client
from paretune.console import console, explain, say, working
from paretune.export import export_trial, why_nothing
from paretune.file_errors import results_kept
from paretune.front_report import compare_with_probe, front_table, write_front
from paretune.progress import follow
from paretune.recommendation_report import recommendation_lines

MOST_SURE = 0.999
"""What a normal distribution has beyond it is not worth a digit."""


def follow_to_the_end(client: Client, study_id: str, *, output: Path, check: Callable[[], None]) -> None:
    """Show a study until it ends, is paused or interrupted; of one that has ended, write what it found.

    Raises:
        ResultsNotWritten: If there is no writing it; the message says which command writes it again.
        typer.Exit: With 130 if it was interrupted, with 1 if it failed.
    """
    try:
        study = follow(client, study_id, console=console, between_polls=check)
    except KeyboardInterrupt:
        client.pause(study_id)
        say("", f"Paused; nothing is lost. Go on with: paretune resume {study_id}")
        raise typer.Exit(130) from None
    if study.state is StudyState.PAUSED:
        why = f": {study.state_reason}" if study.state_reason else ""
        say(f"The study is paused{why}. Go on with: paretune resume {study_id}")
        return
    say(f"{study.display_name}: {study.state}" + (f", {study.state_reason}" if study.state_reason else ""))
    if study.one_shot is not None:
        explain(study.one_shot.detail)
    with results_kept(study.id, output=output):
        _write_results(client, study, folder=output / _folder_name(study))
    if study.state is StudyState.FAILED:
        raise typer.Exit(1)


def _write_results(client: Client, study: StudyRead, *, folder: Path) -> None:
    trials = list(client.trials(study.id))
    front = client.pareto_front(study.id)
    if not front.points:
        say("No trial succeeded, so there is no front.")
        return
    console.print(front_table(front, trials))
    verdict = compare_with_probe(front, trials)
    if verdict is not None:
        explain(verdict)
    with working("Drawing the front"):
        as_json, as_plot = write_front(front, trials, folder=folder)
    say(f"Front: {as_json}", f"Plot: {as_plot}", "")
    found = client.recommendation(study.id)
    by_number = {trial.number: trial for trial in trials}
    best_first = [by_number[point.number] for point in front.points]
    wanted = [] if found.number is None else [by_number[found.number]]
    adapter = _write_adapter(client, study, [*wanted, *best_first], folder=folder)
    explain(*recommendation_lines(found))
    if found.against_default is not None:
        explain(against_default(found.against_default))
    if adapter is not None:
        say("", "Load it:", *(f"  {line}" for line in snippet(study, adapter)))


def against_default(against: AgainstDefault) -> str:
    """Return how sure it is that the trial which the rule chose is better than the default."""
    name = against.metric.replace("_", " ")
    default = f"the default, LoRA 8 (trial {against.default_number})"
    if against.chosen_number == against.default_number:
        return f"It is {default}."
    chance = against.probability_better
    sure = "nobody knows, for want of seeds" if chance is None else f"{min(chance, MOST_SURE):.3g}"
    return (
        f"Chance that trial {against.chosen_number} is better in {name} than {default}: {sure} "
        f"({against.difference:+.4g})."
    )


def snippet(study: StudyRead, adapter: Path) -> list[str]:
    """Return the lines of Python that load an exported trial and use it."""
    pairs = study.configuration is not None and study.configuration.task.text_pair_column is not None
    texts = '("one text", "another")' if pairs else '"a film full of warmth and wit"'
    return [
        "from paretune import load_classifier",
        f"classifier = load_classifier({str(adapter)!r})",
        f"print(classifier.predict([{texts}]))",
    ]


def _write_adapter(
    client: Client, study: StudyRead, in_turn: Sequence[TrialRead], *, folder: Path
) -> Path | None:
    """Write the first of the trials that has weights, and return where."""
    best = in_turn[0]
    if best.configuration is None:
        say(f"Best trial: {best.number}, with {best.parameters}")
        return None
    if not best.artifacts:
        say(why_nothing(study, best))
    trained = next((trial for trial in in_turn if trial.artifacts), None)
    if trained is None:
        say("No trial of the front has weights here, so no adapter was written.")
        return None
    with working("Downloading the adapter"):
        adapter = export_trial(client, study, trained, folder=folder / f"trial-{trained.number}")
    say(f"Trained adapter: {adapter} (python {adapter}/load.py TEXT)")
    return adapter


def _folder_name(study: StudyRead) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", study.display_name.lower()).strip("-")[:40]
    return f"{slug or 'study'}-{study.id[-6:]}"
