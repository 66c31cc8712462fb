"""Outlets' offers, what is on their shelves, and what is promised of it."""
