"""What catalog's processes are told beside what every process is."""

from typing import Annotated

from pydantic import Field

from services.kit.settings import ServiceSettings


class CatalogSettings(ServiceSettings):
    """Variables with the prefix `BATON_`."""

    # A menu is read for all who look at most this often; what it shows is no older.
    menu_seconds: Annotated[float, Field(ge=0, le=60)] = 1.0
