"""Rotary embeddings that depend on a text's length: never in one batch with others."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Phi3Config

from stillknows.answers.generate import continue_batch, load_model
from stillknows.engine.recording import record
from stillknows.errors import StudyError
from stillknows.texts.spans import Text
from tiny import SIZES, save_tiny
from tiny_sweeps import CPU, model_of

MOST = 24  # tokens, up to which the angles do not depend on the length
SHORT, LONG = range(5, 15), range(30, 30 + MOST)
_LONGROPE = {
    "rope_type": "longrope",
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
    "rope_theta": 10000.0,
}
_DYNAMIC = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}
CONFIGS: dict[str, Any] = {
    "longrope": Phi3Config(
        **SIZES | {"pad_token_id": 0},
        original_max_position_embeddings=MOST,
        rope_parameters=_LONGROPE,
    ),
    "dynamic": LlamaConfig(
        **SIZES | {"max_position_embeddings": MOST + 1}, rope_parameters=_DYNAMIC
    ),
}


@pytest.fixture(params=CONFIGS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "model", CONFIGS[request.param])


def text(ids: range) -> Text:
    compared = range(1, len(ids))
    return Text(tuple(ids), notebook=compared, answer=compared)


def test_texts_up_to_the_original_length_do_not_change_each_other(folder: Path) -> None:
    recorded = record(model_of(folder), [text(SHORT), text(LONG)])["logits"]
    plain = AutoModelForCausalLM.from_pretrained(folder)
    with torch.inference_mode():
        alone = [plain(torch.tensor([list(ids)])).logits[0, 1:] for ids in (SHORT, LONG)]
    torch.testing.assert_close(recorded, torch.cat(alone), rtol=1e-4, atol=1e-4)


def test_a_longer_text_is_refused_wherever_texts_are_batched(folder: Path) -> None:
    longer = range(30, 31 + MOST)
    with pytest.raises(StudyError, match=f"{MOST + 1} tokens .* beyond {MOST}"):
        record(model_of(folder), [text(SHORT), text(longer)])
    model = load_model(folder, torch.float32, CPU)
    assert len(continue_batch(model, [[*SHORT]], MOST - len(SHORT), 0)) == 1
    with pytest.raises(StudyError, match=f"beyond {MOST}"):
        continue_batch(model, [[5], [*SHORT]], MOST - len(SHORT) + 1, 0)
