"""Messages and documents that go to devices: rows first, sent by one process."""
