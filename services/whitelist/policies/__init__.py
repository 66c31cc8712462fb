"""What is asked of whoever touches the goods: dated rows for each class of zone."""
