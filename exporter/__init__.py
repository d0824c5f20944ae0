"""From an adapter to a live model: merge, convert, quantize, verify, register."""
