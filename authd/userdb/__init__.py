"""Courier's userdb: accounts in text files, compiled into two GDBM files that are looked up quickly."""
