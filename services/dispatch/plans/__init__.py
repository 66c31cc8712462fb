"""Waves planned over vehicles: which loads ride together, in which order, at what time, and why not."""
