"""The ledger of shops: what each is, what it may sell, whether it qualifies, and the published list."""
