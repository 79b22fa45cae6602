"""Second floor: the one loop, and what it keeps on disk."""
