"""A real-time telephony voice-agent server."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("voice-server")
except PackageNotFoundError:  # running from a bare checkout
    __version__ = "0+unknown"

__all__ = ["__version__"]
