"""The keys that exist, and the check of a configuration."""
