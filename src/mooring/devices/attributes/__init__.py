"""What is known of a device apart from its names: type, hardware, tags, place, limits."""
