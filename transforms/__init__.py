"""How the flights project computes its features: pure functions of DataFrames."""
