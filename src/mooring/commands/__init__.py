"""Commands to devices: each a row with a state, and the evidence that moved it."""
