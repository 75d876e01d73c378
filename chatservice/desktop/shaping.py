"""Right-to-left writing for Tk, which on X11 neither joins letters nor turns their order around.

Enough for names and lines in a window that reads from the left: letters get the forms that they
have beside each other (Unicode has characters for those), and what is written from the right is
turned around, word by word and with its numbers as they are. It is no UAX 9: there are no levels.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

_RIGHT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
# From one such letter to another, with what may stand between words. Not quotes and colons: they
# are what a log line has between a name and what that person said.
_RUN = re.compile(f"[{_RIGHT}](?:[{_RIGHT}\u200c\u200d\\d .,!?()«»/-]*[{_RIGHT}])?[)»]?")
_MARKS = (
    "\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    "\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
)
_MARK = frozenset(chr(code) for code in range(0x300, 0x6EE) if re.match(f"[{_MARKS}]", chr(code)))
_CLUSTER = re.compile(f"\\d+(?:[.,/:٫٬]\\d+)*|.[{_MARKS}]*", re.DOTALL)
_MIRRORED = str.maketrans("()[]<>«»", ")(][><»«")
_JOINERS = "\u0640\u200d"  # tatweel and the zero-width joiner: what is beside them joins
_ZERO_WIDTH = ("\u200c", "\u200d")
_LAM, _ALEFS = "\u0644", "آأإا"


def _forms() -> Iterator[tuple[tuple[str, str], str]]:
    for code in (*range(0xFB50, 0xFDD0), *range(0xFE70, 0xFEFD)):
        form, *letters = unicodedata.decomposition(chr(code)).split()[:3] or ("",)
        base = "".join(chr(int(letter, 16)) for letter in letters)
        if len(base) == 1 or (len(base) == 2 and base[0] == _LAM and base[1] in _ALEFS):
            yield (base, form.strip("<>")), chr(code)


_FORMS = dict(_forms())


def shown(text: str) -> str:
    """`text` as Tk must be given it, to look as it should."""
    return text if text.isascii() else _RUN.sub(_from_the_left, text)


def _from_the_left(found: re.Match[str]) -> str:
    run, after = found[0], ""
    if run[-1] in ")»" and run.count(run[-1]) > run.count(run[-1].translate(_MIRRORED)):
        run, after = run[:-1], run[-1]  # it closes what was opened before the run
    clusters = _CLUSTER.findall(_joined(run))
    return "".join(reversed(clusters)).translate(_MIRRORED) + after


def _joined(run: str) -> str:
    """Each letter in the form that its neighbours give it; the joiners have done their work."""
    letters: list[str] = []
    marks: list[str] = []  # on each of them
    for character in run:
        if letters and character in _MARK:
            marks[-1] += character
        elif letters and letters[-1] == _LAM and character in _ALEFS:
            letters[-1] += character  # a ligature
        else:
            letters.append(character)
            marks.append("")
    forms = map(_form, ["", *letters], letters, [*letters[1:], ""])
    return "".join(form + mark for form, mark in zip(forms, marks, strict=True))


@lru_cache(maxsize=8192)
def _form(before: str, letter: str, after: str) -> str:
    """What `letter` looks like between these two."""
    if letter in _ZERO_WIDTH:
        return ""
    joins_before = _joins_on(before) and (letter, "final") in _FORMS
    joins_after = _joins_on(letter) and _joins_back(after)
    form = {
        (False, False): "isolated",
        (True, False): "final",
        (False, True): "initial",
        (True, True): "medial",
    }[joins_before, joins_after]
    return _FORMS.get((letter, form), letter)


def _joins_on(letter: str) -> bool:
    """Whether it joins to what follows."""
    return bool(letter) and (letter in _JOINERS or (letter, "initial") in _FORMS)


def _joins_back(letter: str) -> bool:
    """Whether it joins to what stands before it."""
    return bool(letter) and (letter in _JOINERS or (letter, "final") in _FORMS)
