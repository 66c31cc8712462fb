"""Who may touch the goods, as whitelist last said it, and who stands at which door."""
