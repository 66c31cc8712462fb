"""Baton: four services, what they say to each other, and the console that runs them."""
