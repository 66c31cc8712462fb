"""What the clock starts in orders; every piece of work is a row with its moment, claimed once."""
