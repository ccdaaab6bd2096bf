"""Generates the table of ATT&CK: `python -m otel_fim.attack.generate SOURCE… [--out DIRECTORY]`.

SOURCE is MITRE's STIX bundle for Enterprise, or files in the other forms of `otel_fim.attack.sources`. Of several that
hold techniques the newest release counts; redirects, withdrawn ids and data components are taken from all. The same
sources give the same bytes. Written are `table.json` and `release.py`, which says the version.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from otel_fim.attack.sources import Extract, SourceError, read
from otel_fim.attack.table import FILE

NOTICE: Final = (
    "© {year} The MITRE Corporation. This work is reproduced and distributed with the permission of The MITRE "
    "Corporation. Terms of use: https://attack.mitre.org/resources/legal-and-branding/terms-of-use/"
)
RELEASE_FILE: Final = "release.py"


@dataclass(slots=True, frozen=True)
class Named:
    """A source's content with the name that the table gives it."""

    name: str
    content: bytes


def generate(sources: Sequence[Named], year: int) -> dict[str, Any]:
    """The table from its sources, ready to be written as JSON. Raises `SourceError` when they do not make one."""
    extracts = [(source, read(source.name, _parsed(source))) for source in sources]
    holding = [extract for _, extract in extracts if extract.techniques]
    if not holding:
        raise SourceError("none of the sources holds techniques: give a STIX bundle of ATT&CK for Enterprise")
    newest = max(holding, key=lambda extract: _order(extract.version))
    revoked = _merged(extract.revoked for _, extract in extracts)
    components = _merged(extract.data_components for _, extract in extracts)
    retired = _merged(extract.retired for _, extract in extracts)
    return {
        "version": newest.version,
        "notice": NOTICE.format(year=year),
        "sources": [_described(source, extract) for source, extract in extracts],
        "tactics": [[id_, *names] for id_, names in newest.tactics.items()],
        "techniques": _techniques(newest),
        "redirects": _redirects(revoked, newest),
        "retired": {id_: retired[id_] for id_ in sorted(retired) if id_ not in newest.techniques | revoked},
        "data_components": dict(sorted(components.items())),
    }


def _parsed(source: Named) -> Any:
    try:
        return orjson.loads(source.content)
    except orjson.JSONDecodeError as error:
        raise SourceError(f"{source.name}: not JSON: {error}") from error


def _described(source: Named, extract: Extract) -> dict[str, Any]:
    parts = ("tactics", "techniques", "revoked", "retired", "data_components")
    return {
        "name": source.name,
        "form": extract.form,
        "version": extract.version,
        "gives": [part for part in parts if getattr(extract, part)],
        "sha256": hashlib.sha256(source.content).hexdigest(),
    }


def _merged(parts: Iterable[dict[str, str]]) -> dict[str, str]:
    return {key: value for part in parts for key, value in part.items()}


def _techniques(extract: Extract) -> dict[str, list[str]]:
    """Each technique as its name and the ids of its tactics, in the matrix's order."""
    ids = {short_name: id_ for id_, (_, short_name) in extract.tactics.items()}
    techniques = {}
    for id_, (name, tactics) in sorted(extract.techniques.items()):
        unknown = [tactic for tactic in tactics if tactic not in ids]
        if unknown or not tactics:
            raise SourceError(
                f"{id_}: tactics {unknown or 'are missing'}: no tactic of this release is called that"
            )
        if id_.partition(".")[0] not in extract.techniques:
            raise SourceError(f"{id_}: its technique {id_.partition('.')[0]} is not in the source")
        techniques[id_] = [name, *(ids[short_name] for short_name in ids if short_name in tactics)]
    return techniques


def _redirects(revoked: dict[str, str], extract: Extract) -> dict[str, str]:
    """Follows each revoked id to one that is current; ids of other domains and rings lead nowhere."""
    redirects = {}
    for old in sorted(revoked):
        seen = {old}
        new = revoked[old]
        while new in revoked and new not in extract.techniques and new not in seen:
            seen.add(new)
            new = revoked[new]
        if new in extract.techniques and old not in extract.techniques:
            redirects[old] = new
    return redirects


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def render(table: dict[str, Any]) -> bytes:
    """JSON with one entry a line, so that what a release changes can be read in a comparison."""
    parts = [f'"{key}": {_lines(value)}' for key, value in table.items()]
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()


def _lines(value: Any) -> str:
    if isinstance(value, dict):
        items = [f"{_compact(key)}: {_compact(item)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + "\n}" if items else "{}"
    if isinstance(value, list):
        return "[\n" + ",\n".join(map(_compact, value)) + "\n]" if value else "[]"
    return _compact(value)


def _compact(value: Any) -> str:
    return orjson.dumps(value).decode()


def render_release(version: str) -> str:
    return (
        '"""The release of ATT&CK that `table.json` holds; written by `otel_fim.attack.generate`."""\n\n'
        "from __future__ import annotations\n\n"
        "from typing import Final\n\n"
        f'VERSION: Final = "{version}"\n'
        'FRAMEWORK: Final = f"MITRE ATT&CK v{VERSION}"\n'
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m otel_fim.attack.generate", description=__doc__)
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a JSON file; NAME=FILE gives it another name in the table",
    )
    parser.add_argument("--year", type=int, required=True, help="the year of MITRE's copyright notice")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="DIRECTORY")
    options = parser.parse_args(arguments)
    try:
        table = generate([_named(text) for text in options.sources], options.year)
        options.out.joinpath(FILE).write_bytes(render(table))
        options.out.joinpath(RELEASE_FILE).write_text(render_release(table["version"]))
    except (OSError, SourceError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _named(text: str) -> Named:
    name, separator, path = text.partition("=")
    file = Path(path if separator else text)
    return Named(name if separator else file.name, file.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
