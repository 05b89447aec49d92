"""Jobs in processes that are forked from one that has imported all they need."""
