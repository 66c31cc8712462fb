"""The verbs of the `baton` command that need more than a line."""
