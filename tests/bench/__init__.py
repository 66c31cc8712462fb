"""What Baton must do, measured as ratios in one run: `python -m tests.bench`, `make bench`."""
