"""Reads the values of parameters that no pattern knows out of the words of a prompt."""
