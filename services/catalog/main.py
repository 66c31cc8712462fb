"""The API process of catalog."""

from fastapi import FastAPI

from services.catalog.settings import CatalogSettings
from services.kit.http import application


def create_app(settings: CatalogSettings) -> FastAPI:
    """Build catalog's application; nothing connects before its first request."""
    return application.create(settings, title="catalog", routers=[])
