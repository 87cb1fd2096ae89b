"""Named workers whose faults stay their own: restarted with backoff, recorded and shown."""
