"""What proves a hand-over: the label of a load unit and the PIN of a portion, both made from one secret.

A label is `BATON`, the unit's id and a truncated HMAC, in letters that a QR code packs tightest. A PIN is not
stored: it is derived for each portion, so that it can be shown again and be lost with no table.
"""

import hmac
from base64 import b32encode
from hashlib import sha256
from typing import Final
from uuid import UUID

PREFIX: Final = "BATON"
# 80 bits: nobody guesses a label, and it still fits a small code.
MAC_BYTES: Final = 10
PIN_DIGITS: Final = 6
PIN_TRIES: Final = 5


class Marks:
    """Labels and PINs under one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def label_of(self, load_unit_id: UUID) -> str:
        """Return the text of a unit's QR code."""
        mac = b32encode(self._mac("label", load_unit_id)[:MAC_BYTES]).decode()
        return f"{PREFIX}:{load_unit_id.hex.upper()}:{mac}"

    def is_label_of(self, load_unit_id: UUID, scanned: str) -> bool:
        """Say whether a scanned text is the unit's own label, in constant time."""
        return hmac.compare_digest(self.label_of(load_unit_id).encode(), scanned.strip().encode())

    def pin_of(self, portion_id: UUID) -> str:
        """Return the six digits by which a household takes its portion."""
        number = int.from_bytes(self._mac("pin", portion_id)[:8]) % 10**PIN_DIGITS
        return f"{number:0{PIN_DIGITS}}"

    def is_pin_of(self, portion_id: UUID, told: str) -> bool:
        """Say whether somebody told the portion's PIN, in constant time."""
        return hmac.compare_digest(self.pin_of(portion_id).encode(), told.strip().encode())

    def digest_of_try(self, portion_id: UUID, told: str) -> bytes:
        """Return what is kept of a wrong PIN: enough to know the same mistake again."""
        return sha256(self._mac("try", portion_id) + told.strip().encode()).digest()

    def _mac(self, purpose: str, subject_id: UUID) -> bytes:
        return hmac.digest(self._secret, purpose.encode() + subject_id.bytes, "sha256")
