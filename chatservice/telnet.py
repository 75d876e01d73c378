"""Telnet's option bytes (RFC 854): a telnet client may send some, and nobody else does."""

import re

_IAC = b"\xff"
_WILL, _WONT, _DO, _DONT = b"\xfb", b"\xfc", b"\xfd", b"\xfe"
_SEQUENCE = re.compile(
    rb"\xff(?:([\xfb-\xfe])(.)"  # WILL, WONT, DO, DONT and an option
    rb"|\xfa(?:[^\xff]|\xff[^\xf0])*(?:\xff\xf0)?"  # a subnegotiation
    rb"|.?)",  # any other command
    re.DOTALL,
)


def refuse_options(data: bytes) -> tuple[bytes, bytes]:
    """`data` without telnet's sequences, and the answer: every option that is offered or asked for
    is refused, as RFC 854 wants it for those one does not know. (telnet's Ctrl-C asks for a timing
    mark and shows nothing more until it is answered.) A byte 255 is in no UTF-8 text.
    """
    answers = {_DO: _WONT, _WILL: _DONT}
    reply = b"".join(
        _IAC + answers[verb] + option for verb, option in _SEQUENCE.findall(data) if verb in answers
    )
    return _SEQUENCE.sub(b"", data), reply
