"""Training data sets: features as they were known at each label's moment."""
