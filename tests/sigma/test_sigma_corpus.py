"""Rules in the shape that SigmaHQ's have, against their lowered form; and SigmaHQ's own when a checkout is given.

`OTEL_FIM_SIGMA_RULES` names the checkout. `python tests/sigma/test_sigma_corpus.py` writes the lowered form anew.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from otel_fim.sigma import ir_json
from otel_fim.sigma.ir import RuleSet
from otel_fim.sigma.load import load_isolated, load_rules, pack_path

CORPUS = Path(__file__).parent / "testdata" / "linux"
LOWERED = Path(__file__).parent / "testdata" / "lowered.json"
CHECKOUT = os.environ.get("OTEL_FIM_SIGMA_RULES")


def shown(ruleset: RuleSet) -> Any:
    """The rules as JSON, without what ATT&CK's next release may change."""
    lines = [json.loads(line) for line in ir_json.dump(ruleset).splitlines()]
    for each in lines[1:]:
        for name in ("techniques", "tactics", "redirected"):
            del each["meta"][name]
    return lines


def test_the_corpus_is_lowered_as_written_down() -> None:
    ruleset = load_rules([CORPUS])
    assert not ruleset.rejected
    assert shown(ruleset) == json.loads(LOWERED.read_text())


def test_the_corpus_survives_json_and_another_process() -> None:
    ruleset = load_rules([CORPUS])
    assert ir_json.load(ir_json.dump(ruleset)) == ruleset
    assert load_isolated([CORPUS]) == ruleset


def test_loading_twice_gives_the_same_in_the_same_order() -> None:
    assert load_rules([CORPUS]) == load_rules(
        [CORPUS, CORPUS / "builtin", CORPUS / "builtin" / "lnx_keywords.yml"]
    )


def test_the_pack_loads() -> None:
    ruleset = load_rules([pack_path()])
    assert not ruleset.rejected
    assert {each.meta.ruleset for each in ruleset.rules} == {"otel-fim"}
    part = load_rules([pack_path() / "linux" / "persistence"])
    whole = {each.meta.id: each.meta for each in ruleset.rules}
    assert part.rules
    assert all(whole[each.meta.id] == each.meta for each in part.rules)


if CHECKOUT:

    def test_sigmahqs_linux_rules_load() -> None:
        linux = Path(CHECKOUT or "") / "rules" / "linux"
        began = time.monotonic()
        ruleset = load_rules([linux])
        print(f"{time.monotonic() - began:.1f} s")
        print(Counter(f"{r.logsource.category}/{r.logsource.service}" for r in ruleset.rules))
        assert all("auditd" in each.reason for each in ruleset.rejected), ruleset.rejected
        loaded = {each.meta.path.split("/")[0] for each in ruleset.rules}
        assert loaded >= {"process_creation", "file_event", "network_connection", "builtin"}


if __name__ == "__main__":
    LOWERED.write_text(
        json.dumps(shown(load_rules([CORPUS])), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    )
