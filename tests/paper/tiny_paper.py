"""The paper's own config and checkpoints table at tiny size, and the command line to run them.

Every repository that config/checkpoints.tsv names is served by the hub's stand-in: checkpoints of
six small layers in the formats that the table says, with the files around them that real ones
have. The concept files have the paper's ids and questions of our own.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file
from tiny_study import ROOT, Run
from transformers import AutoModelForCausalLM

from hub_stand_in import HubStandIn, Request
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.reader import Checkpoint, load_model
from stillknows.study.checkpoint_table import read_table
from tiny import save_tiny, save_tiny_olmo_legacy, tiny_tokenizer

QUESTIONS = 2
ROWS = read_table(ROOT / "config/checkpoints.tsv")
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
RESULTS: str = CONFIG["results"]
# What six layers do not have, or other tests are about.
SMALL: dict[str, Any] = {
    "device": "cpu",
    "behaviour": {"sets": []},
    "controls": {"self_patch": False},
    "weight_changes": False,
    # All four sweeps of a copy in one job, since a job here mostly starts Python; test_disk.py has
    # a job per sweep, as shipped.
    "jobs": "copy",
}
# On the hub behind a licence that must be accepted.
GATED = "meta-llama/"
# In real repositories, too, and never to be fetched.
DECOYS = ("pytorch_model.bin", "training_args.bin", "README.md", ".gitattributes")
HERE = Path(__file__).parent


def make_checkpoints(folder: Path) -> dict[str, Path]:
    """Every checkpoint of the table in a folder; returns where, by repository."""
    originals = {
        "llama2-7b": save_tiny(folder / "originals/llama"),
        "olmo-7b": save_tiny_olmo_legacy(folder / "originals/olmo_legacy"),
    }
    made = {}
    for seed, row in enumerate(ROWS, start=1):
        made[row.location] = target = folder / row.location
        if row.method == "original":
            save_original(row, originals[row.model], target)
        else:
            save = save_tiny_olmo_legacy if row.format == "olmo-legacy" else save_tiny
            save(target, near=originals[row.model], seed=seed)
            as_bfloat16(target)
        for decoy in DECOYS:
            (target / decoy).write_bytes(b"not to be fetched")
    # As the real ones of 7B: in several files.
    sharded = made["meta-llama/Llama-2-7b-chat-hf"]
    model = AutoModelForCausalLM.from_pretrained(sharded)
    model.save_pretrained(sharded, max_shard_size="100KB")
    (sharded / "model.safetensors").unlink()
    return made


def save_original(row: CheckpointRow, made: Path, target: Path) -> None:
    """An original in transformers format; OLMo's unlearned copies are in the legacy one."""
    if row.model == "olmo-7b":
        load_model(Checkpoint(made), torch.float32, torch.device("cpu")).save_pretrained(target)
        tiny_tokenizer().save_pretrained(target)
    else:
        shutil.copytree(made, target)
        as_bfloat16(target)


def as_bfloat16(folder: Path) -> None:
    """A checkpoint saved in the format that the paper's have."""
    for path in folder.glob("*.safetensors"):
        tensors = {name: tensor.bfloat16() for name, tensor in load_file(path).items()}
        save_file(tensors, path, metadata={"format": "pt"})
    path = folder / "config.json"
    said = json.loads(path.read_text(encoding="utf-8")) | {"dtype": "bfloat16"}
    path.write_text(json.dumps(said), encoding="utf-8")


def concept_entry(identifier: int) -> dict[str, Any]:
    """A concept with all keys of the authors' files."""
    asked = [f" What is thing {identifier} {'very ' * n}good for?\n" for n in range(QUESTIONS)]
    answers = [f" It is good for {'many ' * (n + 1)}things." for n in range(QUESTIONS)]
    return {
        "id": identifier,
        "Concept": f"Thing {identifier}",
        "Layer": 1,
        "Dim": 2,
        "wikipedia_content": f"Thing {identifier} is a thing of many uses. " * 30,
        "QA": asked,
        "text_completion": [{"First_half": "Things are", "Second_half": " of use."}],
        "unrelated_QA": ["What is water?"],
        "QA_with_answers": [
            f"Question: {question}\n Answer:{answer}"
            for question, answer in zip(asked, answers, strict=True)
        ],
        "answers_tokens_num": [30 - 7 * n for n in range(QUESTIONS)],
    }


@dataclass(frozen=True)
class Paper:
    """A copy of the workflow in a folder, set up to find the stand-in instead of the hub."""

    root: Path
    hub: HubStandIn

    def run(self, *options: str, network: bool = True) -> Run:
        """`snakemake` with the local profile and these options; perhaps cut off from networks."""
        environment = os.environ | self.hub.environment(self.home, self.hub.token * network)
        paths = [str(self.root / "workflow/lib")]
        if not network:
            paths.insert(0, str(HERE / "no_network"))
            environment["NETWORK_ATTEMPTS"] = str(self.attempts)
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--profile", "profiles/local", *options],
            cwd=self.root,
            env=environment | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout)

    @property
    def home(self) -> Path:
        """Of the hub's client: its cache is in here."""
        return self.root / "hub_home"

    @property
    def attempts(self) -> Path:
        """Lists who tried to reach a network during a run that was cut off."""
        return self.root / "attempts.txt"

    def result(self, path: str) -> Path:
        return self.root / RESULTS / path


def needed_files(folder: Path) -> dict[str, int]:
    """What a repository holds for this workflow: sizes by name."""
    return {path.name: path.stat().st_size for path in folder.iterdir() if path.name not in DECOYS}


def make_paper(
    root: Path, hub: HubStandIn, checkpoints: Mapping[str, Path], **changes: Any
) -> Paper:
    """The workflow as it is shipped, but for its concept files' addresses and the device.

    Args:
        changes: of the config, for another study than the paper.
    """
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("workflow", "profiles", "config"):
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    shutil.copy(ROOT / "Snakefile", root)
    for repo, checkpoint in checkpoints.items():
        hub.add(repo, checkpoint, gated=repo.startswith(GATED))
    config = CONFIG | SMALL | {"models": {}} | changes
    for model, settings in CONFIG["models"].items():
        entries = [concept_entry(identifier) for identifier in CONFIG["concepts"][model]]
        content = json.dumps(entries).encode()
        url = hub.add_file(f"{model}.json", content)
        source = {"url": url, "sha256": hashlib.sha256(content).hexdigest()}
        config["models"][model] = settings | {"concepts": source}
    (root / "config/config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return Paper(root, hub)


Sent = Counter[tuple[str, str]]
"""How often each file of each repository was sent, by repository and name."""


@dataclass(frozen=True)
class Done:
    """The paper after its runs, and what the first two fetched."""

    paper: Paper
    preflight: Run
    checkpoints: Run
    whole: Run
    sent_to_preflight: Sent
    sent_to_checkpoints: Sent


def compute(root: Path, repositories: Mapping[str, Path]) -> Done:
    """Preflight and checkpoints with the network and a token, all else without either."""
    with HubStandIn(redirect_to_cdn=True) as hub:
        paper = make_paper(root, hub, repositories)
        preflight = paper.run("preflight")
        asked = len(hub.requests)
        checkpoints = paper.run("checkpoints", "--set-threads", "download_checkpoint=1")
    whole = paper.run(network=False)
    sent = (files_of(hub.requests[:asked]), files_of(hub.requests[asked:]))
    return Done(paper, preflight, checkpoints, whole, *sent)


def files_of(requests: Iterable[Request]) -> Sent:
    """Counts the answers that had a file's bytes in them."""
    return Counter((it.repo, it.file) for it in requests if it.file and it.sent)
