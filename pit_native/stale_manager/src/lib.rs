//! Plans which artifacts stay, move to a colder tier or go.
