"""What is promised: reservations and their holds, from an order's coming to the hand-over of its goods."""
