"""What the services say to each other: frozen events by their wire names; no I/O."""
