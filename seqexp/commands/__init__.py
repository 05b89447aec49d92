"""What can be done with runs after training; `python -m seqexp.predict` and its like are here."""
