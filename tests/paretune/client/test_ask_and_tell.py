"""The whole loop: a custom study, the optimiser, a server, and runners of which one dies."""

import asyncio
import importlib.util
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api_schemas.ask_and_tell import ImportedObservation
from api_schemas.studies import StudyState
from api_schemas.trials import TrialState
from paretune.client import AsyncClient, Client
from paretune.client.data_frame import trial_rows
from paretune.errors import RequestRefused, ServerUnreachable
from service.study_worker import advance_study
from tests.conftest import API_KEY
from tests.paretune.client.studies import custom_study, queued_study
from tests.service.trials.test_leases import expire_all_leases

EXAMPLE = Path(__file__).parents[3] / "examples" / "ask_and_tell.py"


def measured(x: float) -> dict[str, float]:
    return {"cost": x**2, "gain": x * (1.5 - x)}


def work(server_url: str, study_id: str) -> int:
    """Run trials until the study has ended; give how many."""
    done = 0
    with Client(server_url, api_key=API_KEY) as client:
        for trial in client.study(study_id).open_trials():
            with trial:
                x = float(trial.parameters["x"])
                trial.report(step=1, cost=x**2)
                trial.complete(**measured(x))
                done += 1
    return done


def propose_until(over: threading.Event, study_id: str) -> None:
    """Be the study worker: its wake-ups come whenever they want."""
    while not over.wait(0.05):
        advance_study(study_id)


def test_two_runners_and_a_dead_one_spend_the_budget_exactly(server_url: str) -> None:
    """The dead one's trial is run by another, no trial twice, and every front is stored."""
    with Client(server_url, api_key=API_KEY) as client, ThreadPoolExecutor(3) as pool:
        study = client.study(client.create_study(custom_study(budget={"trials": 7}, parallelism=3)).id)
        over = threading.Event()
        proposing = pool.submit(propose_until, over, study.id)
        try:
            (dead,) = study.ask(worker_id="dead")
            expire_all_leases()
            runners = [pool.submit(work, server_url, study.id) for _ in range(2)]
            ended = study.wait(poll_seconds=0.2)
            assert sum(runner.result(timeout=60) for runner in runners) == 7
        finally:
            over.set()
        proposing.result()
        trials = list(study.trials())
        assert (ended.state, len(trials)) == (StudyState.SUCCEEDED, 7)
        assert {trial.state for trial in trials} == {TrialState.SUCCEEDED}
        assert next(trial.attempt for trial in trials if trial.id == dead.trial_id) == 2
        with pytest.raises(RequestRefused, match="over") as stale:
            study.tell(dead, cost=0.0, gain=9.0)
        assert stale.value.problem.type == "/problems/stale-attempt"
        history = client.hypervolume_history(study.id).records
        assert len(history) == 7
        assert history[-1].hypervolume == ended.hypervolume
        front = client.pareto_front(study.id)
        assert all(point.metrics["gain"] < 9 for point in front.points)


def test_the_asynchronous_twin_does_the_same(server_url: str) -> None:
    """Ask, tell, blocks, pages and tables."""

    async def use() -> None:
        async with AsyncClient(server_url, api_key=API_KEY) as client:
            study = client.study(queued_study(trials=4))
            (asked,) = await study.ask(worker_id="w")
            assert await study.ask(worker_id="w") == (asked,)
            assert not (await study.heartbeat(asked)).should_stop
            assert not (await study.report(asked, step=1, cost=1.0)).should_stop
            assert (await study.tell(asked, cost=1.0, gain=1.0)).state is TrialState.SUCCEEDED
            async with await study.trial() as trial:
                await trial.report(step=1, cost=2.0, gain=1.0)
            trial = await study.trial()
            trial.log("epoch 1")
            with pytest.raises(ValueError, match="broken"):
                async with trial:
                    raise ValueError("broken")
            found = await client.trial_logs(study.id, trial.suggested.trial_id)
            assert found.logs[0].text.startswith("epoch 1\nTraceback")
            past = ImportedObservation(parameters={"x": 0.75}, metrics={"cost": 3.0, "gain": 1.0})
            assert (await study.import_observations([past])).imported == 1
            states = [trial.state.value async for trial in study.trials()]
            assert sorted(states) == ["QUEUED", "QUEUED", "SUCCEEDED", "SUCCEEDED", "SUCCEEDED"]
            assert [item.id async for item in client.studies()] == [study.id]
            await client.cancel(study.id)
            assert (await study.wait()).state is StudyState.CANCELLED
            assert [trial async for trial in study.open_trials()] == []

    asyncio.run(use())


def test_the_asynchronous_twin_explains_itself_too(server_url: str, tmp_path: Path) -> None:
    """Refusals, silence and files."""
    (tmp_path / "mine.csv").write_text("text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(80)))

    async def use() -> None:
        async with AsyncClient(server_url, api_key=API_KEY) as client:
            assert (await client.upload_task_file(tmp_path / "mine.csv")).rows == 80
            await client.delete_task_file("mine.csv")
            assert await client.task_files() == ()
            with pytest.raises(RequestRefused, match="no study"):
                await client.download_artifact("std_1", "trl_1", "a", to=tmp_path / "a")
        async with AsyncClient("http://127.0.0.1:1", api_key=API_KEY) as client:
            with pytest.raises(ServerUnreachable):
                await client.task_files()

    asyncio.run(use())


def test_trials_become_rows(server_url: str) -> None:
    """One for each, with a column for each parameter and metric."""
    pandas = pytest.importorskip("pandas")
    with Client(server_url, api_key=API_KEY) as client:
        study = client.study(queued_study(trials=2))
        study.tell(study.ask()[0], **measured(0.1))
        table = study.to_dataframe()
        assert list(table["state"]) == ["SUCCEEDED", "QUEUED"]
        assert table["metrics.cost"][0] == pytest.approx(0.01)
        assert pandas.isna(table["metrics.cost"][1])
        assert list(table["parameters.x"]) == [0.1, 0.2]
        assert len(trial_rows(list(study.trials()))) == 2


def test_the_example_finds_a_front(
    server_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it stands in the documents, with a smaller budget."""
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    specification = importlib.util.spec_from_file_location("ask_and_tell", EXAMPLE)
    assert specification is not None
    assert specification.loader is not None
    example = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(example)
    monkeypatch.setitem(example.STUDY, "budget", {"trials": 3})
    with Client(server_url, api_key=API_KEY) as client:
        study_id = example.new_study(client)
    over = threading.Event()
    proposing = threading.Thread(target=propose_until, args=(over, study_id))
    proposing.start()
    monkeypatch.setattr("sys.argv", ["ask_and_tell.py", study_id])
    example.main()
    over.set()
    proposing.join()
    assert "'mass'" in capsys.readouterr().out
