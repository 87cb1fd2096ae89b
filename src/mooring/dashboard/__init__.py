"""The dashboard: pages for people, rendered on the server, on the same services as REST and CLI."""
