"""Real servers that Baton can start by itself, each in a folder of its own."""
