"""Trains the policy that the repository ships; needs the extra `learn` (torch), which the host never imports."""
