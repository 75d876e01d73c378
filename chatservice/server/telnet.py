"""Telnet's option bytes (RFC 854): a telnet client may send some, and nobody else does."""

from enum import Enum, auto

IAC = b"\xff"  # in no UTF-8 text
_WILL, _WONT, _DO, _DONT = 0xFB, 0xFC, 0xFD, 0xFE
_BEGIN, _END = 0xFA, 0xF0  # of a subnegotiation
_LF = 0x0A
_REFUSALS = {_DO: _WONT, _WILL: _DONT}


class _In(Enum):
    """What the next byte belongs to."""

    TEXT = auto()
    COMMAND = auto()  # the byte after IAC
    OPTION = auto()  # the byte after WILL, WONT, DO or DONT
    SUBNEGOTIATION = auto()
    END = auto()  # the byte after an IAC within a subnegotiation


class OptionFilter:
    """Takes telnet's sequences out of a stream of bytes, in one pass and wherever it was cut.

    Every option that is offered or asked for is refused, as RFC 854 wants it for those one does not
    know. (telnet's Ctrl-C asks for a timing mark and shows nothing more until it is answered.) A
    line feed always ends a line, and with it any sequence that was begun.
    """

    __slots__ = ("_in", "_verb")

    def __init__(self) -> None:
        self._in = _In.TEXT
        self._verb = 0

    @property
    def is_idle(self) -> bool:
        """Whether no sequence has begun: text without IAC in it is only text."""
        return self._in is _In.TEXT

    def feed(self, data: bytes) -> tuple[bytes, bytes, int]:
        """The text in `data`; the answer to the options in it; and how many IAC there were."""
        text: list[bytes] = []
        reply = bytearray()
        position = 0
        while position < len(data):
            if self._in is _In.TEXT:
                end = data.find(IAC, position)
                if end < 0:
                    text.append(data[position:])
                    break
                text.append(data[position:end])
                position = end + 1
                self._in = _In.COMMAND
            elif self._in is _In.SUBNEGOTIATION:
                position = self._skip_subnegotiation(data, position)
            elif data[position] == _LF:
                self._in = _In.TEXT
            else:
                self._take(data[position], reply)
                position += 1
        return b"".join(text), bytes(reply), data.count(IAC)

    def _take(self, byte: int, reply: bytearray) -> None:
        """The next byte of a sequence."""
        if self._in is _In.OPTION:
            if self._verb in _REFUSALS:
                reply += bytes((IAC[0], _REFUSALS[self._verb], byte))
            self._in = _In.TEXT
        elif self._in is _In.END:
            self._in = _In.TEXT if byte == _END else _In.SUBNEGOTIATION
        elif byte in (_WILL, _WONT, _DO, _DONT):
            self._verb = byte
            self._in = _In.OPTION
        else:
            self._in = _In.SUBNEGOTIATION if byte == _BEGIN else _In.TEXT

    def _skip_subnegotiation(self, data: bytes, position: int) -> int:
        """Where it goes on after what belongs to the subnegotiation, of which nothing is kept."""
        iac = data.find(IAC, position)
        end = iac if iac >= 0 else len(data)
        lf = data.find(b"\n", position, end)
        if lf >= 0:
            self._in = _In.TEXT
            return lf
        if iac >= 0:
            self._in = _In.END
            return iac + 1
        return end
