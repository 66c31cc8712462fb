"""Trials: a whole town under load, its processes killed, frozen, told to die at a line; then it is judged."""
