"""What an incident's deliveries came to: composed above all nouns, for none knows all of it."""
