"""spark-submit targets: wiring only."""
