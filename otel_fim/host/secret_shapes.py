"""What looks like a secret by itself, or by what stands right before it, within one word.

Every pattern takes time that grows with the text and no faster: repetitions are bounded or possessive.
"""

from __future__ import annotations

import re
from typing import Final

from otel_fim.host.secret_keys import Kind, is_plain, kind_of, looks_random

REDACTED: Final = "[REDACTED]"

_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,60}-----|\Z)", re.DOTALL
)
_TOKENS: Final = re.compile(
    r"""(?<![A-Za-z0-9])(?:
        gh[pousr]_[A-Za-z0-9]{20,255}
      | github_pat_[A-Za-z0-9_]{20,255}
      | gl(?:pat|oas|dt|rt|cbt|ptt|ft|soat|imt|agent|wt)-[A-Za-z0-9_=.-]{16,255}
      | xox[abeoprs]-[A-Za-z0-9-]{10,255} | xapp-[A-Za-z0-9-]{10,255}
      | (?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])
      | sk-(?=[A-Za-z_-]{0,200}[0-9])[A-Za-z0-9_-]{20,255}
      | (?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,255} | whsec_[A-Za-z0-9+/=]{16,255}
      | AIza[A-Za-z0-9_-]{30,255} | ya29\.[A-Za-z0-9_-]{20,1024} | GOCSPX-[A-Za-z0-9_-]{20,255}
      | npm_[A-Za-z0-9]{30,255} | pypi-[A-Za-z0-9_-]{16,1024} | rubygems_[a-f0-9]{40,255}
      | hf_[A-Za-z0-9]{20,255} | r8_[A-Za-z0-9]{30,255} | gsk_[A-Za-z0-9]{30,255} | nvapi-[A-Za-z0-9_-]{30,255}
      | do[opr]_v1_[a-f0-9]{40,255} | dckr_(?:pat|oat)_[A-Za-z0-9_-]{16,255} | hv[sbr]\.[A-Za-z0-9_-]{20,1024}
      | shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32} | SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,128}
      | tskey-[a-z]{2,12}-[A-Za-z0-9-]{10,255} | lin_api_[A-Za-z0-9]{20,255} | pul-[a-f0-9]{40}
      | AGE-SECRET-KEY-1[A-Z0-9]{20,255} | [0-9]{8,12}:AA[A-Za-z0-9_-]{30,64}
      | eyJ[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]{8,8192}(?:\.[A-Za-z0-9_-]{0,8192})?
    )""",
    re.VERBOSE,
)
_WEBHOOK: Final = re.compile(
    r"(https://(?:hooks\.slack\.com/services|discord(?:app)?\.com/api/webhooks)/)[A-Za-z0-9/_-]{1,255}"
)
_USER_INFO: Final = re.compile(
    r"(://[^\s:/@?#\"'\[\]]{0,256}:)(?!\d{1,5}(?:[/?#\s]|$))([^\s\"'/?#@]{1,1024}+)@"
)
_USER_INFO_ODD: Final = re.compile(
    r"(://[^\s:/@?#\"'\[\]]{0,256}:)(?!\d{1,5}(?:[/?#\s]|$))([^\s\"'@]{1,1024}+)@(?=[^\s/@])"
)
_USER_ONLY: Final = re.compile(r"(://)([A-Za-z0-9_-]{20,256})(?=@)")
_BEARER: Final = re.compile(r"(\bbearer\s{1,8})([A-Za-z0-9._~+/=-]{6,8192})", re.IGNORECASE)
_SQL: Final = re.compile(
    r"(\b(?:identified\s{1,8}(?:with\s{1,8}\S{1,64}\s{1,8})?by|password(?:\s{1,8}for\s{1,8}\S{1,64})?)"
    r"\s{1,8}(?:=\s{0,8})?)('[^']*+'?|\"[^\"]*+\"?)",
    re.IGNORECASE,
)
_NAMED: Final = re.compile(
    r"(?<![\w.\-])([\w.\-]++)(\\{0,4}[\"']?\s{0,4}(?::=|=>|[:=])\s{0,4}\\{0,4}[\"']?)", re.ASCII
)
_VALUE: Final = re.compile(r"[^\s\"'&;,<>|)}`\\]++")
_QUOTED: Final = {
    '"': re.compile(r"(?:[^\"\\]|\\.)*+", re.DOTALL),
    "'": re.compile(r"(?:[^'\\]|\\.)*+", re.DOTALL),
}
_ESCAPED: Final = re.compile(r"[^\"'\\]*+")
_SCHEME: Final = re.compile(
    r"\s{0,8}(?:bearer|basic|token|digest|negotiate|apikey|ntlm)\s{1,8}", re.IGNORECASE
)
_LINE: Final = re.compile(r"[^\"'\r\n]*+")


def redact_word(word: str, *, whole: bool = True) -> str:
    """`word` without its secrets. `whole`: what follows a name at its start goes to the end of the word, as in an
    argument `--password=two words`; otherwise it ends at a space or a separator."""
    if len(word) < 3:
        return word
    if "PRIVATE KEY" in word:
        word = _PRIVATE_KEY.sub(REDACTED, word)
    word = _TOKENS.sub(REDACTED, word)
    if "://" in word:
        word = _WEBHOOK.sub(rf"\1{REDACTED}", word)
        word = _USER_INFO.sub(_without_password, word)
        word = _USER_INFO_ODD.sub(_without_password, word)
        word = _USER_ONLY.sub(rf"\1{REDACTED}", word)
    if " " in word or "\t" in word:
        word = _BEARER.sub(rf"\1{REDACTED}", word)
        word = _SQL.sub(_quoted, word)
    if "=" in word or ":" in word:
        word = _redact_named(word, whole=whole)
    return word


def _without_password(match: re.Match[str]) -> str:
    return match[0] if is_plain(match[2]) and match[2] else f"{match[1]}{REDACTED}@"


def _quoted(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2][0]}{REDACTED}{match[2][0]}"


def _redact_named(word: str, *, whole: bool) -> str:
    """`name=value`, `name: value`, `"name": "value"`, wherever they stand."""
    done: list[str] = []
    copied = at = 0
    while (match := _NAMED.search(word, at)) is not None:
        at = match.end()
        before = word[match.start() - 1 : match.start()]
        if before == "/" and match[2] == ":" and word.startswith("://", max(0, match.start() - 3)):
            # The user name of a URL, whatever it is called.
            continue
        kind = kind_of(match[1], query=before in ("?", "&") and match[2] == "=")
        if kind is Kind.HARMLESS:
            continue
        end = _end_of_value(word, match, kind, to_the_end=whole and match.start() == 0)
        start = at
        if kind is Kind.HEADER and (scheme := _SCHEME.match(word, at)) is not None:
            start = scheme.end()
        value = word[start:end]
        if is_plain(value) or (kind is Kind.ENTROPY and not looks_random(value)):
            continue
        done += (word[copied:start], REDACTED)
        copied = at = end
    if not done:
        return word
    return "".join(done) + word[copied:]


def _end_of_value(word: str, match: re.Match[str], kind: Kind, *, to_the_end: bool) -> int:
    at = match.end()
    quote = word[at - 1 : at]
    if quote in _QUOTED:
        pattern = _ESCAPED if word[at - 2 : at - 1] == "\\" else _QUOTED[quote]
    elif kind is Kind.HEADER:
        pattern = _LINE
    elif to_the_end:
        return len(word)
    else:
        pattern = _VALUE
    found = pattern.match(word, at)
    return at if found is None else found.end()
