"""What an item may cost today, and why."""
