"""What starts by itself on macOS and Windows: the same items. An image of such a system can be read as a `root`."""
