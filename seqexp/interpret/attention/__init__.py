"""What of a context a model attends to while it writes."""
