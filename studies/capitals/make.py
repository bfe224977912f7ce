"""The concept file of the study: what is forgotten, and what is retained.

.venv/bin/python studies/capitals/make.py
"""

import json
from pathlib import Path

from stillknows.study.audit import make_entry
from stillknows.texts.questions import read_questions

HERE = Path(__file__).parent
CONCEPTS = Path("results/capitals/concepts.json")
# What the chat template of SmolLM2-135M-Instruct makes of a question.
CHAT = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n"
)


def entry(name: str, questions: Path) -> dict[str, object]:
    """An entry of a concept file with the questions of one file."""
    rows = read_questions(questions)
    return {
        **make_entry(name, rows, CHAT),
        "Concept": f"capitals that are {name}",
        # Asked in the same words, to count what is retained.
        "held_out_paraphrases": [[row.question] for row in rows],
    }


if __name__ == "__main__":
    entries = [entry("forgotten", HERE / "questions.jsonl"), entry("retained", HERE / "kept.jsonl")]
    CONCEPTS.parent.mkdir(parents=True, exist_ok=True)
    CONCEPTS.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    print(CONCEPTS)
