"""The site's own hook."""

import pytest
import yaml

from tools.documentation import hook, reference


@pytest.mark.usefixtures("service_environment")
def test_pages_that_have_no_file_are_made_and_in_the_navigation() -> None:
    """The reference and the documents beside docs/; `make docs` builds all of it strictly."""
    navigation = yaml.safe_load((reference.ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    made = hook.texts()
    assert {"index.md", "contributing.md", "changelog.md", "reference/api.md"} <= set(made)
    assert [
        path for path, text in made.items() if not text.startswith("# ") or path not in str(navigation)
    ] == []
