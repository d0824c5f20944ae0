"""The sample handbook, its questions, and the scripts that build and check them."""
