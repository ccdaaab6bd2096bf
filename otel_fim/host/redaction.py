"""Command lines without their secrets: passwords, tokens and keys become `[REDACTED]`, everything else stays.

It goes by shapes: names of options and variables, forms of tokens, and what single programs take. When in doubt it
takes away too much. A secret that looks like nothing (`mytool hunter2`) is not found: who must be sure keeps command
lines out of the records altogether.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from otel_fim.host.secret_commands import SecretsOfCommand, consumes_secret
from otel_fim.host.secret_shapes import REDACTED, redact_word

_PASSES: Final = 6
_DEPTH: Final = 3

_LEXEME: Final = re.compile(
    r"""(?P<space>\s++)
      | (?P<operator><<<|[|&;()<>`\n]++)
      | (?P<word>(?:'[^']*+'? | "(?:[^"\\]|\\.)*+"? | \\. | [^\s'"\\|&;()<>`] | \\)++)""",
    re.VERBOSE | re.DOTALL,
)
_UNQUOTE: Final = re.compile(r"""'([^']*+)'?|"((?:[^"\\]|\\.)*+)"?|\\(.)|([^'"\\]++)|\\""", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\([\"\\$`])")
_SHELLS: Final = frozenset(("-c", "-lc", "-ic", "-ec", "-xc", "-exc", "-euc", "-euxc", "eval"))


def redact_args(args: Sequence[str]) -> list[str]:
    """The arguments of a process, the program first, without secrets; as many as there were. Never raises. Applied to
    its own result it changes nothing."""
    words = list(args)
    for _ in range(_PASSES):
        redacted = _words(words, _DEPTH)
        if redacted == words:
            return words
        words = redacted
    return [REDACTED for _ in args]


def redact_line(line: str) -> str:
    """A command line as a person types it, or as /proc shows it with spaces between, without secrets. Quotes, pipes
    and several commands are understood. Never raises. Applied to its own result it changes nothing."""
    for _ in range(_PASSES):
        redacted = _line(line, _DEPTH)
        if redacted == line:
            return line
        line = redacted
    return REDACTED


def _words(words: Sequence[str], depth: int) -> list[str]:
    done: list[str] = []
    command = SecretsOfCommand()
    for number, word in enumerate(words):
        previous = words[number - 1] if number else ""
        script = previous in _SHELLS
        redacted = command.next(word)
        if redacted is None:
            redacted = redact_word(word, whole=not script)
            if depth > 0 and number and any(space in redacted for space in " \t\n"):
                redacted = _line(redacted, depth - 1)
        done.append(redacted)
    return done


def _line(line: str, depth: int) -> str:
    if "PRIVATE KEY" in line:
        line = redact_word(line, whole=False)
    pieces: list[str] = []
    command: list[int] = []
    """Where the words of the command stand in `pieces`."""
    piped: list[int] = []
    plain: dict[int, str] = {}
    secret_follows = False

    def finish() -> None:
        texts = [plain[at] for at in command]
        for at, text in zip(command, _words(texts, depth), strict=True):
            if text != plain[at]:
                pieces[at] = _quoted_like(text, pieces[at])
        if consumes_secret(texts):
            for at in piped[1:]:
                if not plain[at].startswith("-"):
                    pieces[at] = _quoted_like(REDACTED, pieces[at])

    for match in _LEXEME.finditer(line):
        text = match[0]
        if match["word"] is not None:
            plain[len(pieces)] = _unquoted(text)
            if secret_follows:
                plain[len(pieces)], text = REDACTED, _quoted_like(REDACTED, text)
                secret_follows = False
            else:
                command.append(len(pieces))
        elif match["operator"] is not None:
            if text == "<<<":
                secret_follows = consumes_secret([plain[at] for at in command])
            elif text[0] not in "<>":
                finish()
                first = plain[command[0]].rpartition("/")[2] if command else ""
                piped = command if text == "|" and first in ("echo", "printf") else []
                command = []
        pieces.append(text)
    finish()
    return "".join(pieces)


def _unquoted(word: str) -> str:
    if not any(character in word for character in "'\"\\"):
        return word
    parts = []
    for single, double, escaped, plain in _UNQUOTE.findall(word):
        parts.append(single or _ESCAPED.sub(r"\1", double) or escaped or plain)
    return "".join(parts)


def _quoted_like(text: str, original: str) -> str:
    """`text` in the place of a word, with quotes where it needs them."""
    quote = original[:1]
    if quote in ("'", '"') and original.endswith(quote) and quote not in text and "\\" not in text:
        return f"{quote}{text}{quote}"
    if not any(character in text for character in " \t\n'\"\\|&;()<>`"):
        return text
    return "'" + text.replace("'", "'\\''") + "'"
