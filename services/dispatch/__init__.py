"""Vehicles, routes and hand-overs: how what was promised reaches the door; it knows no price."""
