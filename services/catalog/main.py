"""The API process of catalog."""

from fastapi import FastAPI

from services.catalog import report
from services.catalog.emergency import routes as emergency
from services.catalog.menu import routes as menu
from services.catalog.outlets import routes as outlets
from services.catalog.prices import routes as prices
from services.catalog.products import routes as products
from services.catalog.settings import CatalogSettings
from services.catalog.stock.counts import routes as counts
from services.catalog.stock.offers import routes as offers
from services.catalog.supply import routes as supply
from services.kit.http import application


def create_app(settings: CatalogSettings) -> FastAPI:
    """Build catalog's application; nothing connects before its first request."""
    return application.create(
        settings,
        title="catalog",
        routers=[
            outlets.router,
            emergency.router,
            supply.zones,
            supply.outlets,
            supply.policies,
            report.router,
            products.router,
            prices.router,
            prices.refusals,
            offers.router,
            offers.deals,
            counts.router,
            menu.router,
        ],
        background=[menu.hang_board],
        words=["services.contracts", "services.catalog"],
    )
