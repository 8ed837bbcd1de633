"""What was used longest ago is made again."""

from workers.recently_used import kept_or_made


def test_the_most_recently_used_are_kept() -> None:
    """A look counts as a use; a value that is false is a value."""
    kept: dict[str, int] = {}
    made: list[str] = []

    def use(key: str) -> int:
        def make() -> int:
            made.append(key)
            return 0

        return kept_or_made(kept, key, make, most=2)

    for key in "abacab":
        assert use(key) == 0
    assert made == ["a", "b", "c", "b"]
    assert list(kept) == ["a", "b"]


def test_there_are_never_more_than_are_kept_even_while_one_is_made() -> None:
    """Each may take what a device has left."""
    kept = {"a": 1, "b": 2}
    assert kept_or_made(kept, "c", lambda: len(kept), most=2) == 1
    assert list(kept) == ["b", "c"]
