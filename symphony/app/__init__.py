"""The composition root: starts, joins and stops all components."""
