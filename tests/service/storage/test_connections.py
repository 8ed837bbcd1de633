"""Sessions that go silent within a transaction, and what users say about their connections themselves."""

from typing import Any

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import OperationalError

from service.storage import connections, database, queries
from service.storage.connections import engine_on
from service.storage.database import is_away, transaction
from tests.service.trials.test_leases import stored_study

pytestmark = pytest.mark.usefixtures("service_environment")

SETTING = text("SELECT current_setting(:name)")


def shown(engine: Engine, name: str) -> str:
    """Return a setting as a new session has it, after its first transaction was rolled back."""
    with engine.connect() as connection:
        connection.rollback()
        value = str(connection.execute(SETTING, {"name": name}).scalar_one())
    engine.dispose()
    return value


def fall_silent_until_another_has(study_id: str) -> None:
    """Lock a study, and commit only after somebody else has its lock."""
    with transaction() as silent:
        assert queries.lock_study(silent, study_id) is not None
        with transaction() as other:
            other.execute(text("SET LOCAL lock_timeout = '20s'"))
            assert queries.lock_study(other, study_id) is not None


def test_a_session_that_falls_silent_in_a_transaction_frees_its_study(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its host may be gone, or its process stopped: others have the study's lock again."""
    study_id = stored_study(trials=0, budget=1)
    monkeypatch.setitem(connections.OF_THE_SERVER, "idle_in_transaction_session_timeout", "1s")
    database.engine().dispose()
    with pytest.raises(OperationalError) as lost:
        fall_silent_until_another_has(study_id)
    assert is_away(lost.value)


def test_every_session_looks_whether_its_client_is_there(database_url: str) -> None:
    """And every client whether its server is: both give up within a minute."""
    engine = engine_on(database_url)
    for name in ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count"):
        assert shown(engine, name) == connections.OF_THE_SERVER[name]
    with engine.connect() as connection:
        given: dict[str, Any] = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]
    engine.dispose()
    assert {name: given[name] for name in connections.OF_THE_CLIENT} == {
        name: str(value) for name, value in connections.OF_THE_CLIENT.items()
    }


def test_what_a_user_says_in_the_url_counts_more(database_url: str) -> None:
    """Options of the session, those that are not ours among them, and parameters of the client."""
    options = "-c idle_in_transaction_session_timeout=5min -c work_mem=7MB"
    said = make_url(database_url).update_query_dict({"options": options, "keepalives_idle": "77"})
    engine = engine_on(said.render_as_string(hide_password=False))
    assert shown(engine, "idle_in_transaction_session_timeout") == "5min"
    assert shown(engine, "work_mem") == "7MB"
    assert shown(engine, "tcp_keepalives_count") == "4"
    with engine.connect() as connection:
        given: dict[str, Any] = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]
    engine.dispose()
    assert given["keepalives_idle"] == "77"


def test_what_the_operator_says_of_the_role_counts_more(database_url: str) -> None:
    """A limit of the database, say, that is shorter than ours."""
    engine = engine_on(database_url)
    name = make_url(database_url).database
    with engine.begin() as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '7s'"))
    engine.dispose()
    assert shown(engine, "idle_in_transaction_session_timeout") == "7s"
