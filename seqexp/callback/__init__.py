"""What looks at a run while it trains: one file each, all with one protocol."""
