"""What a language model is told by the tools, when it errs and when it does not."""

import asyncio
from typing import Any

import mcp
import pytest

from api_schemas.studies import StudyCreate
from paretune.client import Client
from paretune.mcp_server.study_format import EXAMPLES
from tests.conftest import API_KEY, OTHER_KEY, study_body
from tests.paretune.client.studies import DOCUMENT, queued_study
from tests.paretune.mcp_server.conftest import NO_STUDY, Call, WithTools, called


def test_a_wrong_key_is_the_users_matter(call: Call) -> None:
    """Calling again would not help, and no key is shown."""
    worked, text = call("list_studies", key="pt_secret")
    assert not worked
    assert "PARETUNE_API_KEY" in text
    assert "pt_secret" not in text


def test_an_unknown_study_leads_to_the_list(server_url: str, with_tools: WithTools) -> None:
    """Whatever is asked of it; another tenant's is as unknown as none."""
    study_id = queued_study()
    tools: dict[str, dict[str, Any]] = {
        "watch_study": {"wait_seconds": 30},
        "list_trials": {},
        "pareto_front": {},
        "recommend": {},
        "export_trial": {"number": 0},
        "cancel_study": {},
        "extend_study": {"trials": 1},
    }

    async def use(session: mcp.Client) -> None:
        for tool, arguments in tools.items():
            for wrong in (NO_STUDY, study_id):
                worked, text = await called(session, tool, study_id=wrong, **arguments)
                assert not worked, tool
                assert "`list_studies` shows the ids" in text

    with_tools(server_url, OTHER_KEY, use)


def test_a_bad_study_is_refused_with_pointers(call: Call) -> None:
    """From the schema and from what the server knows; nothing is started."""
    for study, pointer in (
        ({**DOCUMENT, "budget": {"trials": 0}}, "/budget/trials: "),
        ({**DOCUMENT, "colour": "red"}, "/colour: "),
        (study_body(search_space={"parameters": [{"type": "bool", "name": "peft.nothing"}]}),
         "/search_space/parameters/0"),
    ):  # fmt: skip
        worked, text = call("create_study", study=study)
        assert not worked
        assert pointer in text
        assert "study_format" in text
    assert call("list_studies") == (True, {"studies": [], "has_more": False})


def test_a_key_that_may_only_read_starts_nothing(call: Call, server_url: str) -> None:
    """The model asks the user for another one."""
    with Client(server_url, api_key=API_KEY) as admin:
        secret = admin.create_key(name="reader", scope="read").secret
    worked, text = call("create_study", key=secret, study=DOCUMENT)
    assert not worked
    assert "larger scope" in text
    assert secret not in text


def test_examples_are_studies_and_are_shown_with_their_schema(call: Call) -> None:
    """What study_format shows can be sent as it stands."""
    for kind, example in EXAMPLES.items():
        assert StudyCreate.model_validate(example).kind is kind
        worked, answer = call("study_format", kind=kind.value, with_json_schema=True)
        assert worked
        assert answer["example"] == example
        assert "budget" in answer["json_schema"]["properties"]
        assert call("create_study", study=example)[0]


def test_bounds_and_weights_at_once_and_a_front_of_nothing_are_refused(call: Call) -> None:
    """With what to do instead."""
    study_id = queued_study()
    worked, text = call("recommend", study_id=study_id, at_most={"cost": 1}, weights={"gain": 1})
    assert not worked
    assert "ask for one" in text
    assert not call("recommend", study_id=study_id)[0]
    assert call("pareto_front", study_id=study_id)[1]["points"] == []


def test_lists_say_what_they_left_out(call: Call) -> None:
    """Studies by state, trials by state and number."""
    study_id = queued_study(trials=3)
    queued_study()
    worked, answer = call("list_studies", limit=1)
    assert worked
    assert (len(answer["studies"]), answer["has_more"]) == (1, True)
    assert call("list_studies", state="PAUSED")[1]["studies"] == []
    worked, answer = call("list_trials", study_id=study_id, from_number=1, limit=1)
    assert ([row["number"] for row in answer["trials"]], answer["next_number"]) == ([1], 2)
    assert call("list_trials", study_id=study_id, states=["SUCCEEDED"])[1]["trials"] == []


def test_a_study_is_paused_resumed_extended_and_cancelled(call: Call) -> None:
    """Each answer says where it stands now; what makes no sense says why."""
    study_id = queued_study()
    states = [
        call(tool, study_id=study_id, **arguments)[1]["state"]
        for tool, arguments in (
            ("pause_study", {}),
            ("resume_study", {}),
            ("extend_study", {"trials": 2}),
            ("cancel_study", {}),
        )
    ]
    assert states == ["PAUSED", "ACTIVE", "ACTIVE", "CANCELLED"]
    worked, text = call("resume_study", study_id=study_id)
    assert not worked
    assert "`watch_study` shows the state" in text


def test_watching_waits_for_news_and_reports_progress(server_url: str, with_tools: WithTools) -> None:
    """What was there before is no news; what happens while it waits ends it and is told."""
    study_id = queued_study(trials=1)

    async def use(session: mcp.Client) -> None:
        _, before = await called(session, "watch_study", study_id=study_id)
        assert [event["type"] for event in before["events"]] == ["study.created", "trial.queued"]
        assert (before["last_event"], before["omitted_events"]) == (2, 0)
        progress: list[str | None] = []

        async def hear(done: float, total: float | None, message: str | None) -> None:
            progress.append(message)

        waiting = asyncio.create_task(
            session.call_tool(
                "watch_study",
                {"study_id": study_id, "wait_seconds": 60, "after_event": 2},
                progress_callback=hear,
            )
        )
        _, nothing = await called(session, "watch_study", study_id=study_id, wait_seconds=0.2)
        assert nothing["last_event"] == 2
        await called(session, "pause_study", study_id=study_id)
        await called(session, "cancel_study", study_id=study_id)
        after = (await waiting).structured_content
        assert after is not None
        assert after["study"]["state"] == "CANCELLED"
        assert after["events"][0]["type"] == "study.paused"
        assert progress[0] == "study.paused"
        _, over = await called(session, "watch_study", study_id=study_id, wait_seconds=60)
        assert over["last_event"] >= after["last_event"]
        _, known = await called(session, "watch_study", study_id=study_id, wait_seconds=60, after_event=2)
        assert known["events"][0]["number"] == 3

    with_tools(server_url, API_KEY, use)


def test_watching_leaves_out_the_oldest_events(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says how many."""
    monkeypatch.setattr("paretune.mcp_server.watching.MOST_EVENTS", 2)
    answer = call("watch_study", study_id=queued_study(trials=4))[1]
    assert [event["number"] for event in answer["events"]] == [4, 5]
    assert answer["omitted_events"] == 3
