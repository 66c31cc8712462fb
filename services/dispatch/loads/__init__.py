"""What is to be carried: loads, their units and portions, and the places they go between."""
