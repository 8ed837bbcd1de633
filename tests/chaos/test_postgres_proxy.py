"""The proxy cuts where it says: before the COMMIT takes effect, or after."""

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from tests.chaos.postgres_proxy import Cut, PostgresProxy, postgres_proxy


@pytest.fixture
def proxy(database_url: str) -> Iterator[PostgresProxy]:
    with postgres_proxy(make_url(database_url).port or 0) as proxy:
        yield proxy


@pytest.mark.parametrize(("cut", "rows"), [(Cut.BEFORE, 0), (Cut.AFTER, 1)])
def test_a_commit_is_cut_before_or_after_its_effect(
    proxy: PostgresProxy, database_url: str, cut: Cut, rows: int
) -> None:
    """Both times the client sees a lost connection; only the second time the row is there."""
    engine = create_engine(make_url(database_url).set(port=proxy.port))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE written (number int)"))
    proxy.armed.append(cut)
    with pytest.raises(OperationalError), engine.begin() as connection:
        connection.execute(text("INSERT INTO written VALUES (1)"))
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM written")) == rows
    engine.dispose()
    assert proxy.cuts == {cut: 1}
