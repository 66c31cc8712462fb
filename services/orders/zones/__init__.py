"""Sealed zones: their slots, and when their channels open."""
