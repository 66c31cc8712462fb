"""How a service faces HTTP: callers, transactions, problems, idempotency; it knows no route."""
