"""The ledger: what happened to each window, as append-only events with a single winner each."""
