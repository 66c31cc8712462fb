"""`python -m services.console`: the same as `baton`."""

from services.console.main import app

app()
