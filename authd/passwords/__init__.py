"""Passwords: checking them against what is stored, and making what is stored."""

from authd.passwords.hashing import SCHEMES, hash_like, hash_password
from authd.passwords.verify import Verdict, verify, verify_clear, verify_cram

__all__ = ["SCHEMES", "Verdict", "hash_like", "hash_password", "verify", "verify_clear", "verify_cram"]
