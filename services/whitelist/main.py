"""The API process of whitelist."""

from fastapi import FastAPI

from services.kit.http import application
from services.whitelist.settings import WhitelistSettings


def create_app(settings: WhitelistSettings) -> FastAPI:
    """Build whitelist's application; nothing connects before its first request."""
    return application.create(settings, title="whitelist", routers=[])
