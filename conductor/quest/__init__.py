"""Function Quest: the game on which the Conductor learns to compose: typed functions, goals, failures, budgets."""
