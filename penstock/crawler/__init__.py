"""A Glue crawler over the offline tables: what it asks for, its IAM role, and both on AWS."""
