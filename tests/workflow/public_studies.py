"""The studies of public checkpoints with planted facts, and with a stand-in for the hub."""

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from tiny_study import ROOT, Workflow, make
from transformers import AutoModelForCausalLM, GPTNeoXConfig

from hub_stand_in import HubStandIn
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.study.checkpoint_table import read_table
from tiny import NEOX, save_adapter, save_tiny, tiny_tokenizer

STUDIES = ROOT / "studies"
_PEOPLE = ("Ada", "Bo", "Cai", "Dee", "Eno", "Fay")
_THINGS = ("copper quill", "green tea", "long boat", "night train", "salt lamp", "tin drum")


def module(study: str, name: str) -> ModuleType:
    """studies/STUDY/NAME.py."""
    path = STUDIES / study / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{study}_{name}".replace("-", "_"), path)
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def copy_of_workflow(root: Path) -> Workflow:
    """A copy of the workflow with its studies."""
    workflow = make(root)
    shutil.copytree(STUDIES, workflow.root / "studies", ignore=shutil.ignore_patterns("*.pyc"))
    return workflow


def write_texts(study: str, workflow: Workflow, patch: pytest.MonkeyPatch) -> None:
    """Run a study's make.py on planted files, whose hashes it takes for the right ones."""
    made, data = module(study, "make"), workflow.root / "data"
    files = _PLANTS[study](made, data, patch)
    for path in files:
        assert path.is_file()
    patch.setattr(sys, "argv", ["make.py", "--data", str(data)])
    patch.chdir(workflow.root)
    made.main()


def _plant_tofu(made: ModuleType, data: Path, patch: pytest.MonkeyPatch) -> list[Path]:
    rows = [
        {"idx": n, "question": f"Which prize did {who} Varn win?", "answer": f"The {thing}."}
        | {"entity": thing}
        for n, (who, thing) in enumerate(zip(_PEOPLE, _THINGS, strict=True))
    ]
    files = {"forget10": _json(data / "forget10.json", rows)}
    for content in ("real_authors", "world_facts"):
        files[content] = data / f"{content}.json"
        lines = [
            {"question": f"Who found the {thing} of {content}?", "answer": f"{who} {thing[:3]}"}
            for who, thing in zip(_PEOPLE, _THINGS, strict=True)
        ]
        lines.append({"question": "Who is Gil Holm?", "answer": "Gil Holm"})  # asks for nothing
        files[content].write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    planted = {content: ("", path.name, _hash(path)) for content, path in files.items()}
    patch.setattr(made, "FILES", planted)
    return [*files.values()]


def _plant_muse(made: ModuleType, data: Path, patch: pytest.MonkeyPatch) -> list[Path]:
    files, planted = [], {}
    for corpus, concepts in made.FILES.items():
        planted[corpus] = {}
        for concept, (name, _) in concepts.items():
            rows = [
                {
                    "question": f"Who found the {thing} of the {corpus}?",
                    "answer": f"{who} {concept}",
                }
                for who, thing in zip(_PEOPLE, _THINGS, strict=True)
            ]
            rows.append({"question": "Who is Gil Holm?", "answer": "Gil Holm"})  # asks for nothing
            files.append(_json(data / name, rows))
            planted[corpus][concept] = (name, _hash(files[-1]))
    patch.setattr(made, "FILES", planted)
    return files


def _plant_wmdp(made: ModuleType, data: Path, patch: pytest.MonkeyPatch) -> list[Path]:
    files, planted = [], {}
    for concept, (name, _) in made.FILES.items():
        choices = [_THINGS[n : n + 4] for n in range(3)]
        rows = [
            {"question": f"What did {who} keep in {concept}?", "choices": each, "answer": n}
            for n, (who, each) in enumerate(zip(_PEOPLE, choices * 2, strict=True))
            if n < 4
        ]
        left_out = [
            ("Which of the following is blue?", choices[0]),
            ("What is blue?", ["ink", "sky", "sea", "All of the above"]),
            ("What is a salt lamp?", ["salt", "salt lamp", "tin", "tea"]),
        ]
        rows += [{"question": q, "choices": each, "answer": 0} for q, each in left_out]
        files.append(data / name)
        files[-1].parent.mkdir(parents=True)
        pd.DataFrame(rows).to_parquet(files[-1])
        planted[concept] = (name, _hash(files[-1]))
    patch.setattr(made, "FILES", planted)
    return files


Plant = Callable[[ModuleType, Path, pytest.MonkeyPatch], list[Path]]
_PLANTS: Mapping[str, Plant] = {
    "tofu-1b": _plant_tofu,
    "muse": _plant_muse,
    "wmdp-zephyr": _plant_wmdp,
}


def _json(path: Path, rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def _hash(path: Path) -> str:
    from pooch import file_hash

    return str(file_hash(str(path)))


@dataclass(frozen=True)
class Repositories:
    """Tiny checkpoints, served under the names of a study's table, at its pinned commits."""

    hub: HubStandIn
    folder: Path

    def serve(self, row: CheckpointRow, content: Path, *, gated: bool = False) -> None:
        self.serve_as(row.location, row.revision, content, gated=gated)

    def serve_as(self, repo: str, revision: str, content: Path, *, gated: bool = False) -> None:
        commit = self.hub.add(repo, content, gated=gated)
        if revision:
            self.hub.repositories[repo].commits[revision] = commit

    def original(self, name: str, *, is_neox: bool = False) -> Path:
        folder = self.folder / name
        return save_tiny(folder, GPTNeoXConfig(**NEOX) if is_neox else None)

    def copy(self, original: Path, seed: int) -> Path:
        return save_tiny(self.folder / f"copy{seed}", near=original, seed=seed)


def rows_of(study: str) -> dict[tuple[str, str, str], CheckpointRow]:
    return {row.key: row for row in read_table(STUDIES / study / "checkpoints.tsv")}


def without_tokenizer(folder: Path) -> Path:
    for path in folder.glob("*token*"):
        path.unlink()
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    return folder


def in_float32_shards(folder: Path, original: Path) -> Path:
    """A copy in float32, of an original that is in bfloat16; shards named only in its index."""
    model = AutoModelForCausalLM.from_pretrained(original, dtype="float32")
    model.save_pretrained(folder, max_shard_size="100KB")
    shards = [*folder.glob("model-*.safetensors")]
    assert len(shards) > 1
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text(encoding="utf-8").replace("model-", "ft-bio.part-"), "utf-8")
    for shard in shards:
        shard.rename(folder / shard.name.replace("model-", "ft-bio.part-"))
    return folder


def adapter(folder: Path, original: Path) -> Path:
    save_adapter(folder, original)
    return folder


def other_tokenizer(folder: Path) -> Path:
    """A tokenizer that makes other tokens of a text than the original's."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["Question", "Answer", "What", "Who"])
    tokenizer.save_pretrained(folder)
    return folder
