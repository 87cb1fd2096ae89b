"""Whether devices are there: one state a device, from all evidence, and its history."""
