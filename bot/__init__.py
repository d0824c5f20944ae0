"""The assistant: answering, its channels and its command line."""
