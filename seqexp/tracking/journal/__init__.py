"""A record on disk of all that a run tells its tracker, sent from there."""
