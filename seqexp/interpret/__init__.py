"""What was learned, in a form that a person can look at."""
