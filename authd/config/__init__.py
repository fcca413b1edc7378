"""The configuration files: authdaemonrc and one file per module."""
