"""authd: an authentication daemon for mail servers, compatible with Courier's authdaemond."""

__version__ = "0.1.0"
