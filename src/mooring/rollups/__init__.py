"""Minutes, hours and days of every metric, kept up to date beside the messages."""
