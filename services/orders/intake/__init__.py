"""Orders: accepted against quota and slot, decided by what catalog answers."""
