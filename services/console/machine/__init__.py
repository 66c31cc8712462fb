"""Everything on one machine: its files, its keys, its databases, its processes, started in order."""
