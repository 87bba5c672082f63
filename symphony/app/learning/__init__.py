"""Learning from use in the host: what is logged, the learner beside it, and which policy decides."""
