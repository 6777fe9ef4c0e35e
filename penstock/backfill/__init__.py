"""Many windows of one pipeline: planned with their bill, run side by side, resumed."""
