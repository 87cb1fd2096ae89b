"""Simulated fleets: real MQTT clients that speak a dialect with believable values."""
