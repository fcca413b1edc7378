"""Certificates of an authority of the test's own."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Authority:
    """Makes certificates in `root`, each as ``NAME.pem`` with its key ``NAME.key``, which all can read.

    :ivar file: the authority's own certificate.
    """

    def __init__(self, root: Path, name: str = "authority") -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.name = name
        self.file = self._make(name)

    def issue(self, name: str, *extensions: str) -> Path:
        """Return the certificate of `name`, made with such extensions as ``subjectAltName=IP:127.0.0.1``."""
        words = ["-CA", str(self.file), "-CAkey", str(self.root / f"{self.name}.key")]
        words += ["-addext", "basicConstraints=CA:FALSE"]
        for extension in extensions:
            words += ["-addext", extension]
        return self._make(name, *words)

    def _make(self, name: str, *words: str) -> Path:
        made, key = self.root / f"{name}.pem", self.root / f"{name}.key"
        common = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        subprocess.run([*common, "-keyout", str(key), "-out", str(made), *words], check=True, capture_output=True)
        made.chmod(0o644)
        key.chmod(0o644)
        return made
