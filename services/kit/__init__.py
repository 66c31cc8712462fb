"""How any service reaches PostgreSQL, Kafka and HTTP; it knows no word of the business."""
