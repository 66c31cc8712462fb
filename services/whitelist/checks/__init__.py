"""What was found about a person's health, and what the person has signed."""
