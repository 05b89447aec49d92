"""What may be configured, and whether this configuration may be."""
