"""The language that api, worker and index share: values, formats, ports and drivers."""

__version__ = "0.1.0"

#: Where a service is, if nobody says otherwise.
DEFAULT_URL = "http://127.0.0.1:5000"
