"""What a judge answers to RAGAS's requests: JSON in the form asked for, the same for the same request."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any


def form(body: dict[str, Any]) -> str:
    """The name of the form that a request asks for, from the JSON schema in its system message."""
    found: str = re.findall(r'"title": "(\w+)",\s+"type": "object"\s+}\s+Make sure', body["messages"][0]["content"])[0]
    return found


def judgement(body: dict[str, Any]) -> str:
    """An answer whose verdicts depend on the request."""
    digest = hashlib.sha256(json.dumps(body["messages"]).encode()).digest()
    yes = [byte % 2 for byte in digest]
    said = {"statement": "A pump stops.", "reason": "It says so."}
    answers: dict[str, dict[str, Any]] = {
        "StatementGeneratorOutput": {"statements": ["A pump stops.", "An inlet is blocked."]},
        "NLIStatementOutput": {"statements": [{**said, "verdict": yes[0]}, {**said, "verdict": 1}]},
        "ClassificationWithReason": {"TP": [said], "FP": [said] * yes[0], "FN": [said] * yes[1]},
        "AnswerRelevanceOutput": {"question": f"What stops {digest.hex()[:4]}?", "noncommittal": 0},
        "ContextPrecisionOutput": {"reason": "It says so.", "verdict": yes[0]},
        "ContextRecallOutput": {"classifications": [{**said, "attributed": yes[0]}, {**said, "attributed": 1}]},
    }
    return json.dumps(answers[form(body)])
