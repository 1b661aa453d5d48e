"""voiced: an offline voice-conversation daemon. Importing this package imports nothing else."""

import os

__version__ = "0.1.0"

# Nothing leaves the box. From 1.29 on, onnxruntime's Linux builds report every model that is
# loaded to their maker, unless this is set before they are imported; the engines' processes
# import this package first, and so does the daemon. (microsoft/onnxruntime docs/Privacy.md)
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# The same for huggingface_hub, which faster-whisper brings along.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
