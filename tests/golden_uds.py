"""What the published script of UDS computes on the fixtures' tiny checkpoints.

fixtures/uds_golden/README.md says how it was made: full = original, retain = grad_diff_901,
unlearned = dpo_901.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

FIXTURES = Path(__file__).parent / "fixtures"
GOLDEN, CHECKPOINTS = FIXTURES / "uds_golden", FIXTURES / "notebook_golden_llama"
# Other tiny checkpoints: legacy OLMo, with a byte-level tokenizer without a special first token.
BYTE_LEVEL = FIXTURES / "notebook_golden_olmo"
# This project's columns, and those of the script.
COLUMNS = {
    "logprob_original": "p_score",
    "logprob_reference": "s1_score",
    "logprob_copy": "s2_score",
}
PROMPT = "Question: {q}\nAnswer:"


def golden_concept() -> dict[str, Any]:
    """The fixture's questions as a concept of this project's format."""
    items = json.loads((GOLDEN / "questions_901.json").read_text(encoding="utf-8"))
    return {
        "id": "901",
        "Concept": "Lantern Week",
        "QA": [item["question"] for item in items],
        "QA_with_answers": [
            f"Question: {item['question']}\nAnswer: {item['answer']}" for item in items
        ],
        "answer_facts": [item["entity"] for item in items],
    }


def published_scores() -> pd.DataFrame:
    """Per question (idx) and layer: p_score, s1_score, s2_score, and the question's uds."""
    return pd.read_csv(GOLDEN / "golden_901.csv")
