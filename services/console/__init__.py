"""The `baton` command and the launchers of the embedded parts; the only package that may import every service."""
