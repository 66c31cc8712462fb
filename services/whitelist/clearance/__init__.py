"""Who may touch the goods now, why not, and until when; told to the others whenever it changes."""
