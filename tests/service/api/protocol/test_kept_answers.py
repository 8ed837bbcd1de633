"""Answers in memory: the same bytes under the same tag, to nobody else, and within bounds."""

import asyncio
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from service.api.app import create_app
from service.api.protocol import kept_answers
from service.api.protocol.kept_answers import KeptAnswer, KeptAnswers
from service.api.routes import studies
from tests.conftest import API_KEY, OTHER_KEY, Connect
from tests.service.api.protocol.test_conditional_requests import urls
from tests.service.conftest import bearer
from tests.service.trials.test_leases import stored_study


@pytest.fixture
def client(service_environment: None, connect: Connect) -> TestClient:
    return connect(headers=bearer(API_KEY), client=("127.0.0.1", 50000))


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The studies that were represented."""
    found: list[str] = []
    represent = studies.study_read

    def counting(session: object, study: object) -> object:
        found.append(study.id)  # type: ignore[attr-defined]
        return represent(session, study)  # type: ignore[arg-type]

    monkeypatch.setattr(studies, "study_read", counting)
    return found


def test_another_tenant_gets_nothing_that_is_kept(client: TestClient, built: list[str]) -> None:
    """404, and 401 without a key, though the answer lies there."""
    url = f"/v1/studies/{stored_study(trials=1)}"
    assert client.get(url).status_code == 200
    for key, status in ((OTHER_KEY, 404), ("wrong", 401)):
        refused = client.get(url, headers=bearer(key))
        assert refused.status_code == status
        assert "display_name" not in refused.text


def test_what_a_version_showed_is_shown_again(client: TestClient, built: list[str]) -> None:
    """Byte for byte and with the same headers, built once; after a change it is built anew."""
    study_id = stored_study(trials=1)
    url = f"/v1/studies/{study_id}"
    first, again = client.get(url), client.get(url)
    assert built == [study_id]
    assert again.content == first.content
    own = {"date", "x-request-id"}
    assert [item for item in again.headers.items() if item[0] not in own] == [
        item for item in first.headers.items() if item[0] not in own
    ]
    assert first.headers["x-request-id"] != again.headers["x-request-id"]
    client.post(f"{url}:pause")
    changed = client.get(url)
    assert changed.json()["state"] == "PAUSED"
    assert changed.headers["etag"] != first.headers["etag"]


def test_every_resource_of_a_study_is_the_same_from_memory(client: TestClient) -> None:
    """With each query, under each address, and 304 for whoever has it."""
    for url in urls(client, stored_study(trials=2)):
        for address in (url, f"{url}?page_size=1" if url.endswith("/trials") else url):
            first, again = client.get(address), client.get(address)
            assert (again.status_code, again.content) == (200, first.content), address
            assert again.headers["etag"] == first.headers["etag"]
            known = {"If-None-Match": f'"x", {first.headers["etag"]}'}
            assert client.get(address, headers=known).status_code == 304
            assert client.get(address, headers={"If-None-Match": "*"}).status_code == 304


def test_an_address_that_shows_nothing_is_not_kept(client: TestClient) -> None:
    """404 and 422, again and again."""
    url = f"/v1/studies/{stored_study(trials=1)}"
    for _ in range(2):
        assert client.get(f"{url}/nothing").status_code == 404
        assert client.get(f"{url}?nobody_reads=1").status_code == 422


def test_a_crowd_that_asks_at_once_is_answered_by_one(client: TestClient, built: list[str]) -> None:
    """The answer is made for the first and given to all."""
    url = f"/v1/studies/{stored_study(trials=1)}"
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: client.get(url), range(40)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    assert len(built) == 1


def test_answers_from_memory_are_measured_under_their_route(
    service_environment: None, connect: Connect
) -> None:
    """As if the route had made them."""
    client = connect(create_app(), headers=bearer(API_KEY), client=("127.0.0.1", 50000))
    url = f"/v1/studies/{stored_study(trials=1)}"
    for _ in range(3):
        client.get(url)
    counted = (
        'paretune_http_request_seconds_count{method="GET",route="/v1/studies/{study_id}",status="200"} 3.0'
    )
    assert counted in client.get("/metrics").text


def answer(version: int, size: int) -> KeptAnswer:
    return KeptAnswer(version, (), b"x" * size, None)


@given(kept=st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 30)), max_size=40))
def test_memory_is_bounded_whatever_is_kept(kept: list[tuple[str, int]]) -> None:
    """The count is that of what is there, and the last is always among it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_answers, "MOST_BYTES", 50)
        patch.setattr(kept_answers, "BYTES_OF_AN_ENTRY", 10)
        answers = KeptAnswers()
        for number, (address, size) in enumerate(kept):
            answers.keep(address, answer(number, size))
            there = [len(one) + len(item.body) + 10 for one, item in answers._answers.items()]
            assert answers.bytes == sum(there) <= 50
            assert answers._answers[address].version == number


def test_an_answer_that_fails_is_made_by_each_who_waits() -> None:
    """One who gives up ends nothing for the others."""

    async def ask() -> list[object]:
        answers = KeptAnswers()
        with answers.making("a") as making:
            impatient = asyncio.create_task(answers.find("a", 1))
            waiting = [asyncio.create_task(answers.find("a", 1)) for _ in range(2)]
            await asyncio.sleep(0)
            impatient.cancel()
            await asyncio.sleep(0)
            making.give_up()
            found: list[object] = [*await asyncio.gather(*waiting)]
            with answers.making("a") as another:
                another.end(answer(1, 3))
        return [*found, await answers.find("a", 1), await answers.find("a", 2)]

    assert asyncio.run(ask()) == [None, None, answer(1, 3), None]


def test_one_large_answer_is_given_to_all_and_not_kept() -> None:
    """It would push out many."""

    async def ask() -> int:
        answers = KeptAnswers()
        with answers.making("a") as making:
            waiting = asyncio.create_task(answers.find("a", 1))
            await asyncio.sleep(0)
            making.end(answer(1, kept_answers.MOST_BYTES_OF_ONE + 1))
            assert await waiting is not None
        return answers.bytes

    assert asyncio.run(ask()) == 0


def test_addresses_and_headers_count_as_bytes_do() -> None:
    """Many small answers under different addresses take no more memory than there may be."""
    tracemalloc.start()
    try:
        answers, before = KeptAnswers(), tracemalloc.get_traced_memory()[0]
        for number in range(40_000):
            address = f"/v1/studies/{number}?" + "page_size=1&" * 40
            headers = tuple((b"header-%d" % place, b"%d-%d" % (number, place)) for place in range(6))
            answers.keep(address, KeptAnswer(number, headers, b"{}" + str(number).encode(), None))
        assert tracemalloc.get_traced_memory()[0] - before < 1.2 * kept_answers.MOST_BYTES
    finally:
        tracemalloc.stop()


def test_an_answer_under_a_long_address_is_given_to_all_and_not_kept() -> None:
    """Nobody asks twice for one that repeats its parameters over and over."""

    async def ask() -> int:
        answers = KeptAnswers()
        address = "a" * (kept_answers.LONGEST_ADDRESS + 1)
        with answers.making(address) as making:
            waiting = asyncio.create_task(answers.find(address, 1))
            await asyncio.sleep(0)
            making.end(answer(1, 5))
            assert await waiting is not None
        return answers.bytes

    assert asyncio.run(ask()) == 0


def test_an_older_answer_takes_no_newer_ones_place() -> None:
    """Two that were made side by side may end in any order."""
    answers = KeptAnswers()
    for version in (3, 2, 4, 1):
        answers.keep("a", answer(version, version))
    assert answers._answers["a"].version == 4
    assert answers.bytes == len("a") + 4 + kept_answers.BYTES_OF_AN_ENTRY


def test_whoever_asks_after_a_change_waits_for_the_next() -> None:
    """All of them for the same one; who asked before it takes the first."""

    async def ask() -> list[object]:
        answers = KeptAnswers()
        with answers.making("a") as first:
            early = asyncio.create_task(answers.find("a", 1))
            late = [asyncio.create_task(answers.find("a", 2)) for _ in range(3)]
            await asyncio.sleep(0)
            first.end(answer(1, 5))
            with answers.making("a") as second:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert not any(task.done() for task in late)
                second.end(answer(2, 6))
        return [await early, *await asyncio.gather(*late)]

    assert asyncio.run(ask()) == [answer(1, 5), *[answer(2, 6)] * 3]
