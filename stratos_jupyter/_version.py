"""The version, in a module that imports nothing: pyproject.toml reads it, and so does any room of the package."""

__version__ = "0.1.0"
