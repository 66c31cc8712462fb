"""What a zone can order: one line for each product, over every outlet that supplies it."""
