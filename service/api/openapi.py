"""Print the OpenAPI document: `python -m service.api.openapi`. Needs no server and no settings."""

import json
import os
import sys

PLACEHOLDERS = {"DATABASE_URL": "postgresql://", "BROKER_URL": "redis://", "PARETUNE_ARTIFACTS_URL": "."}


def document() -> str:
    """Return the document as it is committed."""
    from service.api.app import create_app

    return json.dumps(create_app().openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    # The application wants its settings when it is loaded; the document depends on none of these.
    os.environ |= PLACEHOLDERS | os.environ
    sys.stdout.write(document())
