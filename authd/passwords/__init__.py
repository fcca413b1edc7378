"""Passwords: checking them against what is stored, and making what is stored."""

from authd.passwords.hashing import SCHEMES, hash_like, hash_password
from authd.passwords.verify import Verdict, form_of, verify, verify_clear, verify_cram

__all__ = ["SCHEMES", "Verdict", "form_of", "hash_like", "hash_password", "verify", "verify_clear", "verify_cram"]
