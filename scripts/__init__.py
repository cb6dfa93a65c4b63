"""What a person runs at the top of the repository, and the Python behind it."""
