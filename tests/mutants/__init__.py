"""Seeded defects: each is a promise broken on purpose, and must turn its test red."""
