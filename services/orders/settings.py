"""What orders's processes are told beside what every process is."""

from services.kit.settings import ServiceSettings


class OrdersSettings(ServiceSettings):
    """Variables with the prefix `BATON_`."""
