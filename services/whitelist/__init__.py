"""Who may touch the goods today, and why not; it knows no parcel."""
