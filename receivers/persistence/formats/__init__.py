"""Formats that several kinds read. Every function takes bytes of any origin, never raises and works in linear time."""
