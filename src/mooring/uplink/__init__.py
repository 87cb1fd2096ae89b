"""Readings over HTTPS, for devices whose network lets nothing else through.

They take the same path as every message: they are published to the device's own topic, and
ingest stores them.
"""
