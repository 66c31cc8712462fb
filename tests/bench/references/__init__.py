"""What ours is measured against, written as fast as it honestly can be."""
