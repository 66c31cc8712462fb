"""What catalog's processes are told beside what every process is."""

from services.kit.settings import ServiceSettings


class CatalogSettings(ServiceSettings):
    """Variables with the prefix `BATON_`."""
