"""The language that api, worker and index share: values, formats, ports and drivers."""

__version__ = "0.1.0"
