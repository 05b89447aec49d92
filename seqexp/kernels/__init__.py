"""C++ and hand-written backward passes, their build and their sources."""
