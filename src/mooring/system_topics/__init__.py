"""What the platform publishes about itself, on topics of dialects that have such channels."""
