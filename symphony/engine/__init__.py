"""Plays a melody: joins the Pit, the Players, the artifacts and the events."""
