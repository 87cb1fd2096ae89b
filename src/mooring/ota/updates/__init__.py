"""The device's side of a rollout: one device and one release."""
