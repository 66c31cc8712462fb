"""What the clock starts in whitelist; every piece of work is a row with its moment, claimed once."""
