"""The owner of the studies of a run: creates, steers, extends, clones and deletes them, drawn by a seed.

Every POST has an Idempotency-Key and is repeated under it until it is answered, and sometimes once more; what
was answered is kept for the checker.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from api_schemas.ask_and_tell import ImportedObservation
from api_schemas.studies import StudyCreate, StudyState
from paretune.client import requests
from paretune.client.requests import Request
from tests.chaos.history import Posting
from tests.conftest import make_study_request
from tests.end_to_end.stack import TINY

POISON = "nemesis, poison"
"""The name of the studies that may kill their study worker."""
WANTED_OPEN = 3
MOST_OPEN = 5
REPEATED = 0.3
"""The share of answered POSTs that are sent once more."""
CANCELLED = 0.3
"""How often cancelling is among what may be done."""
PATIENCE_SECONDS = 60.0
UNANSWERED = 0
IN_PROGRESS = "request-in-progress"
EXPECTED = (200, 201, 204, 304, 404, 409, 503, UNANSWERED)
ENDED = (StudyState.SUCCEEDED, StudyState.FAILED, StudyState.CANCELLED)


def custom_study(rng: random.Random) -> StudyCreate:
    """Give a study for runners outside, with seeds in some, and a race in some of these."""
    replicates, final = rng.choice([1, 1, 2]), rng.choice([0, 0, 1])
    races = replicates == 1 and final == 1
    return StudyCreate.model_validate(
        {
            "kind": "custom",
            "display_name": "nemesis, custom",
            "search_space": {"parameters": [{"type": "float", "name": "rate", "low": 0.0, "high": 1.0}]},
            "objectives": [
                {"metric": "error", "direction": "minimize"},
                {"metric": "watts", "direction": "minimize"},
            ],
            "constraints": rng.choice([[], [{"metric": "watts", "op": "<=", "bound": 1.8}]]),
            "budget": {"trials": rng.randint(4, 10)},
            "parallelism": rng.randint(1, 4),
            "replicates": replicates,
            "final_replicates": final,
            "race": {"share": 0.5} if races else None,
            "proposals": {"proposer": rng.choice(["sobol", "sobol", "paretune"])},
        }
    )


def poison_study(rng: random.Random) -> StudyCreate:
    """Give a custom study whose proposals take a second, so that whoever makes them can be caught at it."""
    others = [{"type": "float", "name": f"x{number}", "low": 0.0, "high": 1.0} for number in range(20)]
    study = custom_study(rng).model_dump(mode="json", by_alias=True)
    study["search_space"]["parameters"] += others
    changes = {"display_name": POISON, "state": "PAUSED", "proposals": {"proposer": "paretune"}}
    return StudyCreate.model_validate({**study, **changes, "budget": {"trials": 12}})


def past_results(rng: random.Random) -> list[ImportedObservation]:
    """Give a poison study enough to model."""
    names = ["rate", *(f"x{number}" for number in range(20))]
    return [
        ImportedObservation(
            parameters={name: rng.random() for name in names},
            metrics={"error": 1.0 + rng.random(), "watts": 1.0 + rng.random()},
        )
        for _ in range(60)
    ]


def real_study(rng: random.Random) -> StudyCreate:
    """Give a study of seconds-long trainings on our own workers."""
    return make_study_request(
        display_name="nemesis, real",
        configuration=TINY,
        budget={"trials": rng.randint(2, 4)},
        parallelism=rng.randint(1, 3),
        final_replicates=rng.choice([0, 1]),
        proposals={"proposer": rng.choice(["sobol", "paretune"])},
    )


@dataclass
class Owner:
    """What it knows of its studies is what it was answered last. One thread runs it."""

    http: httpx.Client
    rng: random.Random
    before_deletion: Callable[[str], bool]
    """Is told which study goes, and says whether it could be checked before."""
    study_ids: list[str] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    postings: list[Posting] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)

    def work_until(self, stopped: threading.Event) -> None:
        """Do one thing after the other."""
        while not stopped.wait(self.rng.uniform(0.2, 1.2)):
            self.act()

    def act(self) -> None:
        """Do one thing."""
        studies = self.studies()
        if studies is None:
            return
        still_open = [study for study in studies if study["state"] not in ENDED]
        if len(still_open) < WANTED_OPEN:
            if not any(study["display_name"] == POISON for study in still_open):
                self._create_poison_study()
                return
            makes_real = all(
                study["kind"] == "custom" for study in still_open if study["display_name"] != POISON
            )
            self.send(requests.create_study((real_study if makes_real else custom_study)(self.rng)))
            return
        actions = [self._pause, self._resume, self._resume, self._delete, self._read]
        if len(still_open) < MOST_OPEN:
            actions += [self._extend, self._clone]
        if self.rng.random() < CANCELLED:
            actions.append(self._cancel)
        study = self.rng.choice(studies)
        if study["display_name"] == POISON and study["state"] == StudyState.ACTIVE:
            # A pause and a resumption would give it fresh tries.
            actions = [self._read]
        self.rng.choice(actions)(study)

    def studies(self) -> list[dict[str, Any]] | None:
        """Give the newest studies as the server shows them; None while it does not."""
        body = self.send(requests.studies())
        return None if body is None else body["studies"]

    def send(self, request: Request[Any]) -> dict[str, Any] | None:
        """Send a request until it is answered; give the answer if it is a yes."""
        posting = Posting(request.idempotency_key, request.path)
        if request.method == "POST":
            self.postings.append(posting)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            response = self._send_once(request, posting)
            if response is None or response.status_code == 503 or IN_PROGRESS in response.text:
                time.sleep(0.3)
                continue
            if request.method == "POST" and self.rng.random() < REPEATED:
                self._send_once(request, posting)
            if response.status_code == 201:
                self.study_ids.append(response.json()["id"])
            return response.json() if response.is_success and response.content else None
        return None

    def _send_once(self, request: Request[Any], posting: Posting) -> httpx.Response | None:
        try:
            response = self.http.request(**request.arguments())
        except httpx.TransportError:
            self.answers[UNANSWERED] += 1
            return None
        self.answers[response.status_code] += 1
        posting.answers.append((response.status_code, response.text))
        if response.status_code not in EXPECTED:
            self.unexpected.append(f"{request.method} {request.path}: {response.status_code} {response.text}")
        return response

    def _create_poison_study(self) -> None:
        study = self.send(requests.create_study(poison_study(self.rng)))
        if study is not None:
            self.send(requests.import_observations(study["id"], past_results(self.rng)))
            self.send(requests.resume(study["id"]))

    def _pause(self, study: dict[str, Any]) -> None:
        self.send(requests.pause(study["id"]))

    def _resume(self, study: dict[str, Any]) -> None:
        self.send(requests.resume(study["id"]))

    def _cancel(self, study: dict[str, Any]) -> None:
        self.send(requests.cancel(study["id"]))

    def _extend(self, study: dict[str, Any]) -> None:
        self.send(requests.extend(study["id"], trials=self.rng.randint(1, 2)))

    def _clone(self, study: dict[str, Any]) -> None:
        trials = study["budget"]["trials"] if study["kind"] == "custom" else 2
        edits: dict[str, Any] = {"budget": {"trials": min(trials, 6)}}
        self.send(requests.clone(study["id"], edits=edits, import_trials=self.rng.random() < 0.7))

    def _delete(self, study: dict[str, Any]) -> None:
        if study["state"] in ENDED and self.before_deletion(study["id"]):
            self.send(requests.delete(study["id"]))
            self.deleted.add(study["id"])

    def _read(self, study: dict[str, Any]) -> None:
        self.send(requests.pareto_front(study["id"]))
        self.send(requests.trials(study["id"]))
