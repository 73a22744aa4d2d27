"""Melodies as standard MIDI files, of format 0."""

from __future__ import annotations

from collections.abc import Sequence

from seqrl.melody import sounding

TICKS = 120
"""Of a step; a quarter note has four."""
BEATS_A_MINUTE = 120
VELOCITY = 90

_NOTE_ON, _NOTE_OFF, _META = 0x90, 0x80, 0xFF
_TEMPO, _METRE, _END = 0x51, 0x58, 0x2F


def midi(symbols: Sequence[int]) -> bytes:
    """A file with the melody (symbols of `seqrl.melody`) in four-four time, a step a sixteenth."""
    tempo = (60_000_000 // BEATS_A_MINUTE).to_bytes(3, "big")  # microseconds of a quarter
    events = []
    for start, length, pitch in sounding(symbols):
        # Where one note ends and another begins, the end comes first.
        events.append((start + length, 0, bytes([_NOTE_OFF, pitch, 0])))
        events.append((start, 1, bytes([_NOTE_ON, pitch, VELOCITY])))
    track = _meta(_TEMPO, tempo) + _meta(_METRE, bytes([4, 2, 24, 8]))  # 4/2^2
    now = 0
    for step, _, event in sorted(events):
        track += _number((step - now) * TICKS) + event
        now = step
    track += _meta(_END, b"", (len(symbols) - now) * TICKS)
    header = b"".join(number.to_bytes(2, "big") for number in (0, 1, 4 * TICKS))
    return _chunk(b"MThd", header) + _chunk(b"MTrk", track)


def _meta(kind: int, content: bytes, wait: int = 0) -> bytes:
    return _number(wait) + bytes([_META, kind]) + _number(len(content)) + content


def _number(value: int) -> bytes:
    """Of variable length: seven bits a byte, the higher ones first, all but the last marked."""
    found = [value & 0x7F]
    while value := value >> 7:
        found.append(value & 0x7F | 0x80)
    return bytes(reversed(found))


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "big") + content
