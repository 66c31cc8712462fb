"""Who lives where, who may order and who ordered what; it knows no shop and no vehicle."""
