"""A stand-in for the http-parser of PyPI, over h11: what pymesos needs of it."""

version_info = (0, 9, 1)
__version__ = "0.9.1"
