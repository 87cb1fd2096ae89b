"""Lists of devices as people look at them: state, last message, problems, total and counts."""
