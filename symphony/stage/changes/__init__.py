"""What programs changed in the private layer over a project: collected, shown, applied and undone by the host."""
