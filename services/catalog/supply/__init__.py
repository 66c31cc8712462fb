"""Which outlets supply a zone: what it needs, who is asked, who accepts, what is missing."""
