"""The ledger of shops, price caps and stock promises; it knows no resident."""
