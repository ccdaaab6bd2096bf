"""A receiver, a processor and a command from outside, and one of each that does not work."""
