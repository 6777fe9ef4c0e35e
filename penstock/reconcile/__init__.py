"""Both stores of a feature group beside each other: what differs, and how it is mended."""
