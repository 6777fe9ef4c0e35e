"""Files sent as a stream: the rows of a source, as events, at a speed of one's choice."""
