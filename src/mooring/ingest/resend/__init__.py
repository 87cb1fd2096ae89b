"""Rejected messages that are read again after a dialect or a device was changed, and stored.

A message is stored as it came: with the time at which it arrived, once, in the transaction that
deletes its dead letter.
"""
