"""Needs: who was asked at the door, who was reached, and how an incident ends."""
