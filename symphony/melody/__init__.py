"""The workflow model: building, validating, reading, writing and keeping melodies."""
