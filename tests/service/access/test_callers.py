"""Callers and versions: shared queries, and never an answer from before the question."""

import asyncio
import gc
import threading
import weakref

import pytest

from service.access import callers
from service.access.callers import Answer, Answers, CallerReads, Question
from service.access.keys import Caller, key_hash
from service.storage.database import transaction
from service.storage.models import Study
from service.studies import steering
from tests.conftest import API_KEY, OTHER_KEY
from tests.service.trials.test_leases import stored_study

pytestmark = pytest.mark.usefixtures("service_environment")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many questions each query answered."""
    counted: list[int] = []
    read = callers._read

    def counting(questions: tuple[Question, ...]) -> Answers:
        counted.append(len(questions))
        return read(questions)

    monkeypatch.setattr(callers, "_read", counting)
    return counted


def question(study_id: str, key: str = API_KEY) -> Question:
    return Question(key_hash(key), study_id)


def version_of(study_id: str) -> int:
    with transaction() as session:
        return session.get_one(Study, study_id).event_sequence


def test_who_may_not_read_gets_no_version() -> None:
    """Another tenant, nobody, and whoever asks for what is not there; beside one who may."""
    study_id = stored_study(trials=1)

    async def ask() -> list[Answer]:
        reads_of_process = CallerReads()
        others = (question(study_id, OTHER_KEY), question(study_id, "no key"), question("std_none"))
        return await asyncio.gather(*map(reads_of_process.ask, (*others, question(study_id))))

    other, nobody, nothing, known = asyncio.run(ask())
    assert [answer.study_version for answer in (other, nobody, nothing)] == [None, None, None]
    assert isinstance(nobody.caller, str)
    assert isinstance(other.caller, Caller)
    assert isinstance(known.caller, Caller)
    assert other.caller.tenant_id != known.caller.tenant_id
    assert known.study_version == version_of(study_id)


def test_all_who_ask_at_once_share_two_queries(reads: list[int]) -> None:
    """The first begins the first query with those of its turn; the rest share the next."""
    study_ids = [stored_study(trials=1) for _ in range(3)]

    async def ask() -> list[Answer]:
        reads_of_process = CallerReads()
        first = asyncio.create_task(reads_of_process.ask(question(study_ids[0])))
        while not reads:
            await asyncio.sleep(0)
        later = [reads_of_process.ask(question(study_ids[number % 3])) for number in range(30)]
        return [await first, *await asyncio.gather(*later)]

    found = asyncio.run(ask())
    assert None not in [answer.study_version for answer in found]
    assert reads == [1, 3]


def test_a_version_is_never_from_before_the_question() -> None:
    """Whoever has seen a change asks after it, though others are being answered."""
    study_id = stored_study(trials=1)

    async def ask() -> None:
        reads_of_process = CallerReads()
        for _ in range(5):
            crowd = [asyncio.create_task(reads_of_process.ask(question(study_id))) for _ in range(5)]
            await asyncio.sleep(0)
            await asyncio.to_thread(change, study_id)
            mine = await reads_of_process.ask(question(study_id))
            assert mine.study_version == version_of(study_id)
            await asyncio.gather(*crowd)

    asyncio.run(ask())


def change(study_id: str) -> None:
    with transaction() as session:
        study = session.get_one(Study, study_id, with_for_update=True)
        turn = steering.resume if study.state == "PAUSED" else steering.pause
        turn(session, study)


def test_a_query_that_fails_fails_for_those_who_shared_it_and_for_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next question is answered again."""
    study_id = stored_study(trials=1)
    read = callers._read

    def broken(_: tuple[Question, ...]) -> Answers:
        raise ValueError("broken")

    async def ask() -> Answer:
        reads_of_process = CallerReads()
        monkeypatch.setattr(callers, "_read", broken)
        failed = await asyncio.gather(
            *(reads_of_process.ask(question(study_id)) for _ in range(3)), return_exceptions=True
        )
        assert [type(item) for item in failed] == [ValueError] * 3
        monkeypatch.setattr(callers, "_read", read)
        return await reads_of_process.ask(question(study_id))

    assert asyncio.run(ask()).study_version is not None


def test_an_event_loop_that_ends_leaves_nothing_behind() -> None:
    """One thread serves all loops of a process, and no loop is kept alive by what it asked."""
    ended = []

    async def ask() -> None:
        ended.append(weakref.ref(asyncio.get_running_loop()))
        await CallerReads().ask(question("std_none"))

    for _ in range(3):
        asyncio.run(ask())
    gc.collect()
    assert [loop() for loop in ended] == [None] * 3
    assert sum(thread.name.startswith("callers") for thread in threading.enumerate()) == 1
