"""What devices said, read back: latest values, history, state, dead letters, strangers."""
