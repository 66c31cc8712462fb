"""What the clock starts in catalog; every piece of work is a row with its moment, claimed once."""
