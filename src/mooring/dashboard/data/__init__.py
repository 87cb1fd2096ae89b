"""What several pages read and say in the same way."""
