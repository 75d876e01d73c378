"""Telnet's option bytes (RFC 854): a telnet client may send some, and nobody else does."""

import re

IAC = b"\xff"  # in no UTF-8 text
_WILL, _WONT, _DO, _DONT = b"\xfb", b"\xfc", b"\xfd", b"\xfe"
# A line feed always ends a line, and with it whatever was begun; the rest of a sequence that the
# data breaks off in is left for the next time.
_SEQUENCE = re.compile(
    rb"\xff(?:"
    rb"([\xfb-\xfe])(?:([^\n])|(?=\n))"  # WILL, WONT, DO, DONT and an option
    rb"|\xfa(?:[^\xff\n]|\xff[^\xf0\n])*(?:\xff\xf0|\xff?(?=\n))"  # a subnegotiation
    rb"|[^\xfa-\xfe\n]|(?=\n)"  # any other command
    rb")"
)


def refuse_options(data: bytes) -> tuple[bytes, bytes]:
    """`data` without telnet's sequences, and the answer to them: every option that is offered or
    asked for is refused, as RFC 854 wants it for those one does not know. (telnet's Ctrl-C asks
    for a timing mark and shows nothing more until it is answered.)
    """
    answers = {_DO: _WONT, _WILL: _DONT}
    reply = b"".join(
        IAC + answers[verb] + option
        for verb, option in _SEQUENCE.findall(data)
        if verb in answers and option
    )
    return _SEQUENCE.sub(b"", data), reply
