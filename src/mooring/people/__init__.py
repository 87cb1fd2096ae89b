"""People and API keys: who may ask the platform for what."""
