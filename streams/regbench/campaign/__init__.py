"""The whole benchmark in one go: what is run, how it is resumed, and what is said of it."""
