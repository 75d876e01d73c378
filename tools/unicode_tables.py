"""Makes chatservice/core/unicode/tables.py of files that Unicode publishes.

    python tools/unicode_tables.py confusables.txt Scripts.txt ScriptExtensions.txt \\
        PropertyValueAliases.txt DerivedCoreProperties.txt >chatservice/core/unicode/tables.py

The files must be of one version of Unicode. They are at https://www.unicode.org/Public/VERSION/,
the first in security/ and the others in ucd/. Debian has them too: the first in the source of its
package ``icu`` (source/data/unidata/), the others in ``unicode-data``.
"""

import argparse
import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

FILES = (
    "confusables.txt",
    "Scripts.txt",
    "ScriptExtensions.txt",
    "PropertyValueAliases.txt",
    "DerivedCoreProperties.txt",
)
WIDTH = 100  # of a line of the module
CODE_POINTS = 0x110000

HEAD = '''"""Tables of Unicode {version} (https://www.unicode.org/Public/{version}/).

Made by tools/unicode_tables.py; do not edit. Copyright © 1991-{year} Unicode, Inc., under the
Unicode License v3, which is in LICENSE beside this file. Made of these files (SHA-256):

{sums}
"""

UNICODE_VERSION = "{version}"
'''


class Unfit(Exception):
    """The files cannot be used, and why."""


def records(text: str) -> Iterator[list[str]]:
    """The fields of each line that has some."""
    for line in text.removeprefix("\N{BYTE ORDER MARK}").splitlines():
        if fields := line.partition("#")[0].strip():
            yield [field.strip() for field in fields.split(";")]


def code_points(field: str) -> range:
    """What a first field says: ``0041`` or ``0041..005A``."""
    first, _, last = field.partition("..")
    return range(int(first, 16), int(last or first, 16) + 1)


def version_of(name: str, text: str) -> str:
    """Of the file, which says so among its first lines. Raises `Unfit`."""
    head = "".join(text.splitlines(keepends=True)[:12])
    stem = name.removesuffix(".txt")
    if stem not in head:
        raise Unfit(f"this is not {name}")
    found = re.search(rf"{stem}-([\d.]+)\.txt|Version: ([\d.]+)", head)
    if found is None:
        raise Unfit(f"{name} does not say which version it is")
    return found[1] or found[2]


def look_alikes(confusables: str) -> dict[str, str]:
    """Each character that looks like something, and that, its prototype."""
    return {
        chr(int(source, 16)): "".join(chr(int(one, 16)) for one in prototype.split())
        for source, prototype, *_ in records(confusables)
    }


def script_sets(scripts: str, extensions: str, aliases: str) -> list[str]:
    """The scripts that each code point is used with, by their long names, with spaces between."""
    long_names = {fields[1]: fields[2] for fields in records(aliases) if fields[0] == "sc"}
    sets = ["Unknown"] * CODE_POINTS
    for field, script in records(scripts):
        for code_point in code_points(field):
            sets[code_point] = script
    for field, used_with in records(extensions):
        names = " ".join(sorted(long_names[short] for short in used_with.split()))
        for code_point in code_points(field):
            sets[code_point] = names
    return sets


def ignorable(properties: str) -> list[bool]:
    """Of each code point, whether nothing is shown for it by default."""
    found = [False] * CODE_POINTS
    for field, name, *_ in records(properties):
        if name == "Default_Ignorable_Code_Point":
            for code_point in code_points(field):
                found[code_point] = True
    return found


def starts(values: Sequence[object]) -> list[int]:
    """Where a value differs from that before it."""
    return [at for at in range(len(values)) if at == 0 or values[at] != values[at - 1]]


def literal(name: str, text: str) -> str:
    """An assignment of `text`, in ASCII and in lines that are not too long."""
    lines, line = [f"{name} = ("], ""
    for character in text:
        escaped = "\\x22" if character == '"' else ascii(character)[1:-1]
        if len(line) + len(escaped) > WIDTH - len('    ""'):
            lines.append(f'    "{line}"')
            line = ""
        line += escaped
    return "\n".join([*lines, f'    "{line}"', ")", ""])


def module(texts: dict[str, str]) -> str:
    """The module, of the texts of `FILES`. Raises `Unfit`."""
    versions = {version_of(name, text) for name, text in texts.items()}
    if len(versions) != 1:
        raise Unfit(f"they are of several versions: {', '.join(sorted(versions))}")
    confusables, scripts, extensions, aliases, properties = (texts[name] for name in FILES)
    found = sorted(look_alikes(confusables).items())
    sets = script_sets(scripts, extensions, aliases)
    set_starts = starts(sets)
    names = sorted(set(sets))
    hidden = ignorable(properties)
    years = re.findall(r"© (\d{4}) Unicode", "".join(texts.values()))
    head = HEAD.format(
        version=versions.pop(),
        year=max(years),
        sums="\n".join(
            f"    {hashlib.sha256(text.encode()).hexdigest()}  {name}"
            for name, text in texts.items()
        ),
    )
    parts = [
        head,
        "# Each character that looks like something, sorted; and that, a line each.",
        literal("LOOK_ALIKES", "".join(source for source, _ in found)),
        literal("PROTOTYPES", "\n".join(prototype for _, prototype in found)),
        "# Where ranges of characters start that are used with the same scripts; which of\n"
        "# SCRIPT_SETS that is, as a character; and the sets, a line each.",
        literal("SCRIPT_STARTS", "".join(map(chr, set_starts))),
        literal("SCRIPT_VALUES", "".join(chr(names.index(sets[at])) for at in set_starts)),
        literal("SCRIPT_SETS", "\n".join(names)),
        "# Where ranges start whose characters are ignorable by default, and where they end.",
        literal("IGNORABLE", "".join(map(chr, starts(hidden)[1:]))),
    ]
    return "\n".join(parts)


def main(argv: Sequence[str] | None = None) -> None:
    """The program."""
    parser = argparse.ArgumentParser(
        description="Print chatservice/core/unicode/tables.py, made of files that Unicode "
        "publishes, all of one version."
    )
    for name in FILES:
        parser.add_argument(name, type=Path, metavar=name)
    paths = vars(parser.parse_args(argv))
    try:
        print(module({name: paths[name].read_bytes().decode() for name in FILES}), end="")
    except (OSError, Unfit) as error:
        raise SystemExit(f"unicode_tables: {error}") from None


if __name__ == "__main__":
    main()
