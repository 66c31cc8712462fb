"""The published list of emergency outlets: numbered snapshots of who qualified, when, by whom published."""
