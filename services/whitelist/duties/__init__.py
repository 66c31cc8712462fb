"""Who stands at which gate and for which buildings, and when."""
