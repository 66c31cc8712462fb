"""Custody: every hand-over of the three legs, what they make of a load, who broke a rule, what to rescue."""
