"""Vehicles, and how many household portions they can carry in a slot."""
