"""The version, where everybody below the package's front can read it."""

__version__ = "0.1.0"
