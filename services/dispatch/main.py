"""The API process of dispatch."""

from fastapi import FastAPI

from services.dispatch.settings import DispatchSettings
from services.kit.http import application


def create_app(settings: DispatchSettings) -> FastAPI:
    """Build dispatch's application; nothing connects before its first request."""
    return application.create(settings, title="dispatch", routers=[])
