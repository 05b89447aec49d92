"""How it learns: the loop, its settings and the learning-rate schedules."""
