"""The life of studies under their owner, over HTTP: every verb in any order, beside runners at work."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from api_schemas.studies import StudyState
from service.storage import queries
from service.storage.database import transaction
from tests.conftest import examples
from tests.service.studies.invariants import OVER, check_study, settled_facts
from tests.service.trials.test_trial_machine import custom_study, propose

FROM: dict[str, set[StudyState]] = {
    "pause": {StudyState.ACTIVE, StudyState.PAUSED},
    "resume": {StudyState.ACTIVE, StudyState.PAUSED},
    "cancel": {StudyState.ACTIVE, StudyState.PAUSED, StudyState.CANCELLING, StudyState.CANCELLED},
    "extend": {StudyState.ACTIVE, StudyState.PAUSED, StudyState.SUCCEEDED},
    "import": {StudyState.ACTIVE, StudyState.PAUSED},
}
"""Which states of a study allow a verb; elsewhere it is a 409."""


class StudyMachine(RuleBasedStateMachine):
    """Several studies of one owner. What the answers said is compared with what is stored."""

    client: TestClient
    studies = Bundle("studies")
    deleted = Bundle("deleted")

    @initialize(target=studies, budget=st.integers(1, 3), final=st.integers(0, 1), paused=st.booleans())
    def begin(self, budget: int, final: int, paused: bool) -> str:
        self.open: dict[str, list[dict[str, Any]]] = {}
        self.settled: dict[str, dict[tuple[str, int], tuple[object, ...]]] = {}
        self.x = 0
        body = custom_study(
            budget={"trials": budget},
            final_replicates=final,
            parallelism=2,
            state="PAUSED" if paused else "ACTIVE",
        )
        study = self.made(self.client.post("/v1/studies", json=body.model_dump(mode="json", by_alias=True)))
        assert self.shown(study)["state"] == body.state
        return study

    def made(self, answer: Any) -> str:
        assert answer.status_code == 201, answer.text
        study_id = str(answer.json()["id"])
        self.open[study_id], self.settled[study_id] = [], {}
        return study_id

    def shown(self, study: str) -> dict[str, Any]:
        answer = self.client.get(f"/v1/studies/{study}")
        assert answer.status_code == 200
        return dict(answer.json())

    def verb(self, study: str, verb: str, **body: object) -> tuple[dict[str, Any], Any]:
        """Give the study before the verb, and the answer: 200 where the state allows it, and else 409."""
        before = self.shown(study)
        path = f"/v1/studies/{study}/trials:{verb}" if verb == "import" else f"/v1/studies/{study}:{verb}"
        answer = self.client.post(path, json=body)
        allowed = StudyState(before["state"]) in FROM[verb]
        assert answer.status_code == (200 if allowed else 409), answer.text
        if not allowed:
            assert answer.json()["type"] == "/problems/wrong-state"
            assert self.shown(study) == before
        return before, answer

    @rule(study=studies, verb=st.sampled_from(["pause", "resume", "resume", "cancel"]))
    def steer(self, study: str, verb: str) -> None:
        before, answer = self.verb(study, verb)
        if answer.status_code == 200:
            reached = {"pause": {"PAUSED"}, "resume": {"ACTIVE"}, "cancel": {"CANCELLING", "CANCELLED"}}
            assert answer.json()["state"] in reached[verb]
            assert answer.json()["budget"] == before["budget"]
            again = self.client.post(f"/v1/studies/{study}:{verb}")
            assert again.json() == answer.json()

    @rule(study=studies, trials=st.integers(1, 2), twice=st.booleans())
    def extend(self, study: str, trials: int, twice: bool) -> None:
        before, answer = self.verb(study, "extend", trials=trials)
        if answer.status_code == 200:
            assert answer.json()["budget"]["trials"] == before["budget"]["trials"] + trials
            expected = "ACTIVE" if before["state"] == "SUCCEEDED" else before["state"]
            assert answer.json()["state"] == expected
            if twice:
                self.extend(study, trials, False)

    @rule(study=studies, added=st.integers(-1, 1), parallelism=st.integers(1, 3))
    def change_settings(self, study: str, added: int, parallelism: int) -> None:
        read = self.client.get(f"/v1/studies/{study}")
        before = read.json()
        body = {"budget": {"trials": max(1, before["budget"]["trials"] + added)}, "parallelism": parallelism}
        answer = self.client.patch(
            f"/v1/studies/{study}", json=body, headers={"If-Match": read.headers["etag"]}
        )
        assert answer.status_code in (200, 409, 422), answer.text
        after = self.shown(study)
        assert (answer.json() if answer.status_code == 200 else before) == after
        late = self.client.patch(f"/v1/studies/{study}", json=body, headers={"If-Match": '"0"'})
        assert late.status_code == 412

    @rule(study=studies, values=st.lists(st.integers(5000, 5004), min_size=1, max_size=3, unique=True))
    def import_results(self, study: str, values: list[int]) -> None:
        observations = [
            {"parameters": {"x": x}, "metrics": {"error": float(x % 3), "watts": float(x % 2)}}
            for x in values
        ]
        before, answer = self.verb(study, "import", observations=observations)
        if answer.status_code == 200:
            added = answer.json()["imported"]
            assert added + answer.json()["already_known"] == len(values)
            assert self.shown(study)["trials"]["imported"] == before["trials"]["imported"] + added
            again = self.client.post(
                f"/v1/studies/{study}/trials:import", json={"observations": observations}
            )
            assert again.json()["imported"] == 0

    @rule(target=studies, study=studies, with_results=st.booleans(), budget=st.integers(1, 2))
    def clone(self, study: str, with_results: bool, budget: int) -> Any:
        if len(self.open) >= 3:
            return multiple()
        source = self.shown(study)
        body = {"edits": {"budget": {"trials": budget}}, "import_trials": with_results}
        clone = self.made(self.client.post(f"/v1/studies/{study}:clone", json=body))
        shown = self.shown(clone)
        known = source["trials"]["succeeded"] + source["trials"]["infeasible"] + source["trials"]["imported"]
        assert shown["trials"]["imported"] == (known if with_results else 0)
        assert (shown["state"], shown["budget"]["trials"]) == ("ACTIVE", budget)
        assert self.shown(study) == source
        return clone

    @rule(study=studies)
    def take(self, study: str) -> None:
        with transaction() as session:
            row = queries.lock_study(session, study)
            assert row is not None
            may_start = row.state is StudyState.ACTIVE
            if may_start and row.trials_created < row.trial_budget:
                self.x += 1
                propose(session, row, x=self.x)
        answer = self.client.post(f"/v1/studies/{study}/trials:suggest", json={"worker_id": f"w{self.x}"})
        assert answer.status_code == 200
        for trial in answer.json()["trials"]:
            if trial not in self.open[study]:
                assert may_start
                self.open[study].append(trial)

    @rule(study=studies, error=st.integers(0, 3), verb=st.sampled_from(["complete", "complete", "release"]))
    def tell(self, study: str, error: int, verb: str) -> None:
        if not self.open[study]:
            return
        trial = self.open[study].pop(0)
        body: dict[str, object] = {"attempt": trial["attempt"]}
        if verb == "complete":
            body |= {"state": "SUCCEEDED", "metrics": {"error": error, "watts": 3 - error}}
        path = f"/v1/studies/{study}/trials/{trial['trial_id']}:{verb}"
        answer = self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text

    @rule(study=studies, error=st.integers(0, 3))
    def work(self, study: str, error: int) -> None:
        self.take(study)
        self.tell(study, error, "complete")

    @rule(target=deleted, study=consumes(studies))
    def delete(self, study: str) -> str:
        if StudyState(self.shown(study)["state"]) not in OVER:
            refused = self.client.delete(f"/v1/studies/{study}")
            assert refused.status_code == 409
            self.steer(study, "cancel")
            while self.open[study]:
                self.tell(study, 0, "release")
        assert self.client.delete(f"/v1/studies/{study}").status_code == 204
        del self.open[study], self.settled[study]
        return study

    @rule(study=deleted, verb=st.sampled_from(["pause", "resume", "cancel", "extend", "clone"]))
    def speak_of_a_deleted_study(self, study: str, verb: str) -> None:
        body = {"extend": {"trials": 1}, "clone": {}}.get(verb)
        assert self.client.post(f"/v1/studies/{study}:{verb}", json=body).status_code == 404
        assert self.client.get(f"/v1/studies/{study}").status_code == 404

    @invariant()
    def nothing_is_broken(self) -> None:
        for study in getattr(self, "open", {}):
            with transaction() as session:
                check_study(session, study)
                settled = settled_facts(session, study)
            assert self.settled[study].items() <= settled.items()
            self.settled[study] = settled


@pytest.mark.slow
@pytest.mark.hypothesis
def test_no_order_of_an_owners_verbs_breaks_a_study(client: TestClient) -> None:
    """Each verb does what it says where the state allows it, and is a 409 that changes nothing elsewhere."""

    class Bound(StudyMachine):
        pass

    Bound.client = client
    run_state_machine_as_test(
        Bound,
        settings=settings(
            max_examples=examples(4),
            stateful_step_count=20,
            deadline=None,
            # To make a failure shorter takes longer than a test may.
            phases=set(Phase) - {Phase.shrink},
            suppress_health_check=list(HealthCheck),
        ),
    )
