"""Minutes, hours and days of every metric, kept up to date in parallel with the messages."""
