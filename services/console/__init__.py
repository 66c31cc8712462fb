"""The `baton` command and the launchers of the embedded parts; it alone may import every service."""
