"""Vehicle passes: one vehicle, one pass, one route (the national form of April 2022)."""
