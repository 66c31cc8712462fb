"""Trips that were committed: who drives what, when it leaves, and what becomes of it."""
