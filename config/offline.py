"""The one place where libraries are told to stay offline and to report to nobody.

Importing any `config` module runs it, and every room imports `config` before it imports a library that asks.
"""

import os

SWITCHES = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "ANONYMIZED_TELEMETRY": "False",  # Chroma
    "DO_NOT_TRACK": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "TOKENIZERS_PARALLELISM": "false",  # forked tokenizers deadlock otherwise
}


def go_offline() -> None:
    """Set every switch, also over what the environment says: privacy is not a default to be overridden by accident."""
    os.environ.update(SWITCHES)
