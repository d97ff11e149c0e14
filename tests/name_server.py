"""A small real name server, over UDP, that answers what a test wants and changes its mind.

    NameServer({"a.example": [["93.184.216.34"], ["127.0.0.1"]]}).serve("127.0.0.1", 53)

A name has lists of addresses: the first asker for IPv4 or IPv6 is told the first list, the next one
the second, and so round and round. Whatever is not there is told `others`.
"""

import ipaddress
import socket
import struct
import threading
from collections import Counter
from collections.abc import Mapping, Sequence

_A, _AAAA, _CNAME = 1, 28, 5
_KINDS = {_A: 4, _AAAA: 6}
_HEAD = struct.Struct(">6H")
#: An answer, not to be kept, and no error.
_FLAGS = 0x8580
#: Names that are told nothing, and that are told what is no answer.
SILENT, GARBAGE = "silent.example", "garbage.example"


class NameServer:
    """`asked`: how often for each name and kind, 4 or 6."""

    def __init__(
        self,
        names: Mapping[str, Sequence[Sequence[str]]],
        aliases: Mapping[str, str],
        others: Sequence[str],
    ) -> None:
        self._names, self._aliases, self._others = names, aliases, others
        self.asked: Counter[tuple[str, int]] = Counter()

    def serve(self, host: str, port: int) -> None:
        """Answer, in a thread of its own, for as long as the process lives."""
        listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listening.bind((host, port))
        threading.Thread(target=self._answer, args=(listening,), daemon=True).start()

    def _answer(self, listening: socket.socket) -> None:
        while True:
            question, sender = listening.recvfrom(4096)
            answer = self._answer_to(question)
            if answer:
                listening.sendto(answer, sender)

    def _answer_to(self, question: bytes) -> bytes:
        labels, place = [], _HEAD.size
        while length := question[place]:
            labels.append(question[place + 1 : place + 1 + length].decode("latin-1"))
            place += 1 + length
        kind = struct.unpack_from(">H", question, place + 1)[0]
        asked = question[_HEAD.size : place + 5]
        name = ".".join(labels).lower()
        if name == SILENT:
            return b""
        if name == GARBAGE:
            return question[:2] + bytes([0x85, 0x80]) + b"\xff" * 40
        records, owner = [], b"\xc0\x0c"  # the name that was asked for
        if name in self._aliases:
            name = self._aliases[name]
            target = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
            records.append((owner, _CNAME, target + b"\x00"))
            owner = target + b"\x00"
        records += [
            (owner, kind, ipaddress.ip_address(address).packed)
            for address in self._told(name, _KINDS.get(kind, 0))
        ]
        head = _HEAD.pack(int.from_bytes(question[:2], "big"), _FLAGS, 1, len(records), 0, 0)
        body = b"".join(
            who + struct.pack(">HHIH", what, 1, 0, len(data)) + data for who, what, data in records
        )
        return head + asked + body

    def _told(self, name: str, version: int) -> list[str]:
        times = self.asked[name, version]
        self.asked[name, version] += 1
        lists = self._names.get(name)
        told = self._others if lists is None else lists[times % len(lists)]
        return [one for one in told if ipaddress.ip_address(one).version == version]
