"""Certificates for tests, made by openssl: of an authority, a server here, a client."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Authority:
    """Who signs. `folder` has what it has made: NAME.crt and NAME.key, and its own, ca.crt."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Authority":
        """A new one."""
        folder.mkdir(parents=True)
        self = cls(folder)
        self._openssl(
            *(
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-subj", "/CN=facematch tests", "-days", "2"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            *("-keyout", "ca.key", "-out", "ca.crt"),
        )
        return self

    def sign(self, name: str, address: str = "IP:127.0.0.1", days: int = 2) -> tuple[Path, Path]:
        """The files of a new certificate, for who is at `address`, and of its key. It is good for
        so many days, 0: for none."""
        self._openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr"),
        )
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={address}\n")
        self._openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
            *(
                "-CAcreateserial",
                "-days",
                str(days),
                "-extfile",
                f"{name}.ext",
                "-out",
                f"{name}.crt",
            ),
        )
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    @property
    def certificate(self) -> Path:
        """Its own."""
        return self.folder / "ca.crt"

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)
