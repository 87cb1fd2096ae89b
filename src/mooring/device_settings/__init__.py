"""Settings of devices: what each is to have, by levels, and what it reports to have."""
