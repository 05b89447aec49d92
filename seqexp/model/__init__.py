"""What learns: each module is one architecture, `(tokens, carry) -> (logits, carry)`."""
