"""Where things are: zones, communities and their gates, areas, outlets, as their owners last said it."""
