"""Areas, buildings and households: where people live."""
