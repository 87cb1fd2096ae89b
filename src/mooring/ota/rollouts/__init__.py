"""Rollouts: one release for many devices, in waves."""
