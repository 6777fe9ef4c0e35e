"""Raw inputs: where they lie, what they are pinned to, how their rows are read."""
