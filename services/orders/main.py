"""The API process of orders."""

from fastapi import FastAPI

from services.kit.http import application
from services.orders.groups import routes as groups
from services.orders.intake import following, gathering
from services.orders.intake import routes as intake
from services.orders.needs import routes as needs
from services.orders.register import routes as register
from services.orders.settings import OrdersSettings
from services.orders.zones import routes as zones


def create_app(settings: OrdersSettings) -> FastAPI:
    """Build orders's application; nothing connects before its first request."""
    return application.create(
        settings,
        title="orders",
        routers=[*register.ROUTERS, zones.router, intake.router, groups.router, *needs.ROUTERS],
        background=[gathering.running, following.running],
        words=["services.contracts", "services.orders"],
        hot=[intake.place_order],
    )
