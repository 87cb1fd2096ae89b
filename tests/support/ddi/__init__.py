"""Unmodified update clients of hawkBit's DDI, and what they run on."""
