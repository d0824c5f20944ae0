"""Documents in, evidence out: load, chunk, embed, index, retrieve, read."""
