"""What an outlet sells: its own item for a product, under the price caps."""
