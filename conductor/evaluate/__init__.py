"""Measures the Conductor's parts on data that it is given, always beside plain baselines."""
