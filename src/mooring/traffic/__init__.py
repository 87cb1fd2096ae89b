"""How many messages pass: received, sent and rejected, over time."""
