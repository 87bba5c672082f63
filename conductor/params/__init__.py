"""Parameters from the prompt: what it mentions, and which parameter each mention fills."""
