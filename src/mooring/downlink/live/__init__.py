"""Messages that are handed over only while their device listens."""
