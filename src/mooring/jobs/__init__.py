"""Jobs: one action for many devices, at a pace, until too many fail."""
