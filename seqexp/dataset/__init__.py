"""What is learned from: each module turns one kind of data into token ids and targets."""
