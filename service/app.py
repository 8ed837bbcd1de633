"""The HTTP application by its public name: `uvicorn service.app:create_app --factory`."""

from service.api.app import create_app

__all__ = ["create_app"]
