"""Learning from feedback: datasets, training runs, evaluation and the gate."""
