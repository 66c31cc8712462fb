"""The API process of orders."""

from fastapi import FastAPI

from services.kit.http import application
from services.orders.settings import OrdersSettings


def create_app(settings: OrdersSettings) -> FastAPI:
    """Build orders's application; nothing connects before its first request."""
    return application.create(settings, title="orders", routers=[])
