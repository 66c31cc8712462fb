"""Zones as orders states them: where they lie, who lives there, which kinds of outlets they need."""
