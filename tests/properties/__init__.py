"""The long form of the tests that generate their cases; see ``test_long_runs``."""
