"""What is on the shelves: counts and adjustments as the shops send them, late and repeated."""
