"""How long messages and roll-ups are kept, and taking away what is older."""
