"""The certificates of devices: who may issue and revoke them, and when that is in force."""
