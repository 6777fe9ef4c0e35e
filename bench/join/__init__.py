"""What a point-in-time join costs, beside what people use for it: ``make bench-join``."""
