"""The list of studies shows the course of each hypervolume in a few points."""

from fastapi.testclient import TestClient
from sqlalchemy import select

from service.storage.database import transaction
from service.storage.hypervolume_traces import evenly_spaced
from service.storage.models import StoredFront, Study, Trial
from tests.service.trials.test_leases import stored_study


def store_fronts(study_id: str, hypervolumes: dict[int, float | None]) -> None:
    with transaction() as session:
        study = session.get_one(Study, study_id)
        study.front_sequence = max(hypervolumes)
        trial_id = session.scalars(select(Trial.id).where(Trial.study_id == study_id)).one()
        for sequence, hypervolume in hypervolumes.items():
            session.add(
                StoredFront(
                    study_id=study_id,
                    sequence=sequence,
                    trial_id=trial_id,
                    member_trial_ids=[trial_id],
                    hypervolume=hypervolume,
                )
            )


def test_points_are_evenly_spaced_and_end_with_the_last() -> None:
    """All of a few results, 16 of many."""
    assert list(evenly_spaced(0)) == []
    assert list(evenly_spaced(3)) == [1, 2, 3]
    many = list(evenly_spaced(5000))
    assert (len(many), many[0], many[-1]) == (16, 312, 5000)


def test_each_study_has_its_own_trace(client: TestClient) -> None:
    """A study without results has none; before the first import that is stored there is no point."""
    stored_study(trials=1)
    short, imported = stored_study(trials=1), stored_study(trials=1)
    store_fronts(short, {1: None, 2: 0.5})
    store_fronts(imported, {30: 1.0, 70: 2.0})
    traces = client.get("/v1/studies").json()["hypervolume_traces"]
    assert traces.keys() == {short, imported}
    assert traces[short] == [None, 0.5]
    assert (traces[imported][0], traces[imported][-2:]) == (1.0, [1.0, 2.0])
