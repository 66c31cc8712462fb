"""What catalog does when others have said something; one handler gets at most one event of a key."""

from services.catalog.supply import application as supply
from services.contracts.orders import ZoneClosed, ZoneOpened
from services.kit.consumer import Handlers

HANDLERS: Handlers = {
    ZoneOpened: supply.open_zones,
    ZoneClosed: supply.close_zones,
}
