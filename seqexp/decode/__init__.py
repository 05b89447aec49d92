"""Writing with a model that predicts the next token."""
