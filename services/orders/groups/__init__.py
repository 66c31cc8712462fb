"""Group orders: many households, one reservation, a published rule for what is short."""
