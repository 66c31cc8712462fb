"""The API process of orders."""

from fastapi import FastAPI

from services.orders.settings import OrdersSettings
from services.kit.http import application


def create_app(settings: OrdersSettings) -> FastAPI:
    """Build orders's application; nothing connects before its first request."""
    return application.create(settings, title="orders", routers=[])
