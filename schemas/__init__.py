"""What the flights project computes: one module per feature group, each with its PIPELINE."""
