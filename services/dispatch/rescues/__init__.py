"""What becomes of the work of a person who is suspended, and what an incident's deliveries came to."""
