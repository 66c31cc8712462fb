"""What a zone can be sold, by the zone's own word; it knows no outlet and no price."""
