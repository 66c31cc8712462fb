"""What the promises about stock share with catalog's own tests."""

from tests.catalog.conftest import catalog_url, client, service_sessions

__all__ = ["catalog_url", "client", "service_sessions"]
