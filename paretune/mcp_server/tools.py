"""The tools. Each call opens a client of its own, because servers come, go and move while an agent works.

Their docstrings and the descriptions of their arguments are what a language model reads.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

from mcp.server.mcpserver import Context
from pydantic import Field, JsonValue

from api_schemas.events import EventRead
from api_schemas.pareto import ParetoFront
from api_schemas.studies import MOST_TRIALS, StudyKind, StudyState
from api_schemas.trials import TrialState
from paretune.client import AsyncClient
from paretune.mcp_server.answers import (
    ChosenPoint,
    ExportedTrial,
    StudyFormat,
    StudyList,
    StudyProgress,
    StudySummary,
    TrialList,
    chosen_point,
    study_summary,
    trial_row,
)
from paretune.mcp_server.exporting import export
from paretune.mcp_server.refusals import explained
from paretune.mcp_server.study_format import study_format
from paretune.mcp_server.watching import WaitFor, watch

Item = TypeVar("Item")

FindServer = Callable[[], tuple[str, str]]
"""Gives the address of the server and the caller's key."""

StudyId = Annotated[
    str,
    Field(
        pattern=r"^std_[0-9a-f]{32}$", description="Id of a study, as create_study and list_studies give it."
    ),
]
Bounds = Annotated[
    dict[str, float] | None,
    Field(description='Bounds in the metrics\' own units, such as {"trainable_parameters": 500000}.'),
]
Weights = Annotated[
    dict[str, float] | None,
    Field(description='Weights of objectives, such as {"score": 2, "trainable_parameters": 1}.'),
]


class StudyTools:
    """Everything that a language model can do with a server."""

    def __init__(self, find_server: FindServer) -> None:
        self._find_server = find_server

    async def study_format(
        self,
        kind: Annotated[
            StudyKind,
            Field(description="peft: the service trains. custom: a program of the user runs trials."),
        ] = StudyKind.PEFT,
        with_json_schema: Annotated[
            bool, Field(description="Also give every field and its limits as JSON Schema, 25 kB of it.")
        ] = False,
    ) -> StudyFormat:
        """Show how a study is written: an example and notes. Read this before the first create_study."""
        return study_format(kind, with_json_schema=with_json_schema)

    async def create_study(
        self,
        study: Annotated[
            dict[str, JsonValue], Field(description="The study, written as study_format shows it.")
        ],
    ) -> StudySummary:
        """Start a study: it searches configurations until its budget of trials is spent.

        Trials cost machine time, so agree on the budget with the user first. What is wrong with the study
        is said with JSON pointers and nothing is started. The answer has the id that the other tools need.
        """
        async with self._client() as client:
            return study_summary(await client.create_study_from(study))

    async def list_studies(
        self,
        state: Annotated[StudyState | None, Field(description="Only studies in this state.")] = None,
        limit: Annotated[int, Field(ge=1, le=200)] = 20,
    ) -> StudyList:
        """List the studies of the caller's key, newest first, with where each stands."""
        async with self._client() as client:
            wanted = (study async for study in client.studies() if state is None or study.state is state)
            found, after = await _up_to(limit, wanted)
        return StudyList(studies=tuple(map(study_summary, found)), has_more=after is not None)

    async def watch_study(
        self,
        study_id: StudyId,
        ctx: Context,
        wait_seconds: Annotated[
            float,
            Field(
                ge=0, le=600, description="0 answers at once. Many clients give a call up after 60 seconds."
            ),
        ] = 0,
        after_event: Annotated[
            int | None,
            Field(ge=0, lt=2**31, description="last_event of the call before: only what is newer is told."),
        ] = None,
        wait_for: Annotated[
            WaitFor, Field(description="What ends the waiting before its time.")
        ] = WaitFor.TRIAL_ENDED,
    ) -> StudyProgress:
        """Show where a study stands and what has happened, or wait until something happens.

        To follow a study, call it again and again with wait_seconds=50 and after_event=last_event of the
        answer before, until state is SUCCEEDED, FAILED or CANCELLED. A PAUSED study waits for resume_study.
        A study of kind custom goes on only while a program of the user runs its trials.
        """
        began = time.monotonic()

        async def report(event: EventRead) -> None:
            elapsed = min(time.monotonic() - began, wait_seconds)
            await ctx.report_progress(elapsed, wait_seconds, f"{event.type} {event.trial_id or ''}".strip())

        async with self._client() as client:
            return await watch(
                client,
                study_id,
                after_event=after_event,
                wait_seconds=wait_seconds,
                wait_for=wait_for,
                seen=report,
            )

    async def list_trials(
        self,
        study_id: StudyId,
        states: Annotated[
            tuple[TrialState, ...], Field(description="Only trials in these states; all if empty.")
        ] = (),
        from_number: Annotated[int, Field(ge=0, description="Leave out trials before this number.")] = 0,
        limit: Annotated[int, Field(ge=1, le=200)] = 50,
    ) -> TrialList:
        """List the trials of a study: parameters, metrics, and why a trial failed (state_reason)."""
        async with self._client() as client:
            wanted = (
                trial
                async for trial in client.trials(study_id)
                if trial.number >= from_number and (not states or trial.state in states)
            )
            found, after = await _up_to(limit, wanted)
        return TrialList(trials=tuple(map(trial_row, found)), next_number=after.number if after else None)

    async def pareto_front(self, study_id: StudyId) -> ParetoFront:
        """Read the Pareto front: the trials for which no other is better in every objective.

        Ordered by the first objective, best first. Empty until a trial has succeeded within the constraints.
        Where a seed moves a metric and there is a model, it is the front that the model believes (`by`), each
        point with both numbers.
        """
        async with self._client() as client:
            return await client.pareto_front(study_id)

    async def recommend(
        self, study_id: StudyId, at_most: Bounds = None, at_least: Bounds = None, weights: Weights = None
    ) -> ChosenPoint:
        """Choose one point of the front, with the reason and what the alternatives would cost.

        With at_most or at_least: the best first objective within the bounds. With weights: the largest
        weighted sum. With neither: the knee, where giving up some of one objective stops buying much of
        another; a front may have no clear one, and then the answer names bounds to choose by. Bounds and
        weights exclude each other.
        """
        async with self._client() as client:
            found = await client.recommendation(
                study_id, at_most=_pairs(at_most), at_least=_pairs(at_least), weights=_pairs(weights)
            )
        return chosen_point(found)

    async def export_trial(
        self,
        study_id: StudyId,
        number: Annotated[int, Field(ge=0, description="Number of the trial, not its id.")],
        folder: Annotated[
            str | None,
            Field(
                description="A new or empty folder on this machine; best an absolute path. Null: no files."
            ),
        ] = None,
    ) -> ExportedTrial:
        """Take a trial home: its configuration, and into a folder its trained weights.

        The folder gets weights, configuration, a model card and load.py, which predicts. A trial of a custom
        study has no files; its parameters are the answer.
        """
        with explained():
            url, key = await asyncio.to_thread(self._find_server)
            return await asyncio.to_thread(export, url, key, study_id, number=number, folder=folder)

    async def pause_study(self, study_id: StudyId) -> StudySummary:
        """Start no more trials of a study; those that run come to their end. resume_study goes on."""
        async with self._client() as client:
            return study_summary(await client.pause(study_id))

    async def resume_study(self, study_id: StudyId) -> StudySummary:
        """Go on with a paused study."""
        async with self._client() as client:
            return study_summary(await client.resume(study_id))

    async def cancel_study(self, study_id: StudyId) -> StudySummary:
        """End a study for good: running trials are stopped, results so far stay.

        To stop for a while, use pause_study.
        """
        async with self._client() as client:
            return study_summary(await client.cancel(study_id))

    async def extend_study(
        self,
        study_id: StudyId,
        trials: Annotated[int, Field(ge=1, le=MOST_TRIALS, description="How many trials to add.")],
    ) -> StudySummary:
        """Add trials to the budget of a study. One that has SUCCEEDED goes on; each call adds once more."""
        async with self._client() as client:
            return study_summary(await client.extend(study_id, trials=trials))

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[AsyncClient]:
        with explained():
            url, key = await asyncio.to_thread(self._find_server)
            async with AsyncClient(url, api_key=key) as client:
                yield client


async def _up_to(limit: int, items: AsyncIterator[Item]) -> tuple[list[Item], Item | None]:
    """Return the first items, and the one that comes after them."""
    found: list[Item] = []
    async for item in items:
        if len(found) == limit:
            return found, item
        found.append(item)
    return found, None


def _pairs(numbers: dict[str, float] | None) -> tuple[str, ...]:
    return tuple(f"{metric}:{number}" for metric, number in (numbers or {}).items())
