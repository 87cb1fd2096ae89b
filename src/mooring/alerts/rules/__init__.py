"""Rules: conditions over readings that raise alerts."""
