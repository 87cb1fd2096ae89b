"""What devices sent, read back: latest values, history, state, dead letters, unknown devices."""
