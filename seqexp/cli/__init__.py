"""Everything that a person types: a subcommand is a file."""
