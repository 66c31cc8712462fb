"""What dispatch's processes are told beside what every process is."""

from services.kit.settings import ServiceSettings


class DispatchSettings(ServiceSettings):
    """Variables with the prefix `BATON_`; labels and PINs are made under its master key."""
