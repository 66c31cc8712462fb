"""What the clock starts in dispatch; every piece of work is a row with its moment, claimed once."""
