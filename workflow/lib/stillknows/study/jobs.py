"""What a job needs, by its wildcards: the functions that Snakemake calls for each job."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.study.study import Study
from stillknows.terms import BENIGN, ORIGINAL
from stillknows.texts.concepts import unrelated_id
from stillknows.training.teaching import seed_of

_USUAL_WEIGHTS_MB = 540.0  # the demo's model: where the weights are not there to be measured


class Needs(NamedTuple):
    """A constant (Python, torch, activations), and more per MB or GB of weights; minutes."""

    constant_mb: int
    per_mb: float
    constant_minutes: int
    minutes_per_gb: float
    on_gpu: bool = False

    def mem_mb(self, weights_mb: float | None) -> int:
        """Megabytes of memory, for an original with so many MB of weights, if that is known."""
        return round(self.constant_mb + self.per_mb * (weights_mb or _USUAL_WEIGHTS_MB))

    def runtime(self, weights_mb: float | None) -> int:
        gigabytes = (weights_mb or _USUAL_WEIGHTS_MB) / 1e3
        return round(self.constant_minutes + self.minutes_per_gb * gigabytes)


NEEDS = {
    "answer_as_original": Needs(1000, 2.2, 10, 3.0, on_gpu=True),
    "answer_as_unlearned": Needs(1000, 2.2, 10, 3.0, on_gpu=True),
    # Two models, each on its way in twice.
    "answer_patched": Needs(1200, 3.2, 20, 10.0, on_gpu=True),
    "answer_questions": Needs(1000, 2.2, 10, 3.0, on_gpu=True),
    "check_self_patch": Needs(1000, 1.0, 10, 4.0, on_gpu=True),
    "dissect_copy": Needs(1200, 1.0, 40, 32.0, on_gpu=True),
    "dissect_layers": Needs(1000, 1.0, 20, 8.0, on_gpu=True),
    "dissect_unrelated": Needs(1200, 1.0, 40, 32.0, on_gpu=True),
    "download_checkpoint": Needs(1000, 0.5, 60, 30.0),
    "import_wheel": Needs(1000, 2.8, 20, 0.0),
    "measure_exposure": Needs(1500, 1.0, 10, 4.0, on_gpu=True),
    "merge_adapter": Needs(1000, 2.2, 10, 5.0),
    "recall_facts": Needs(1000, 5.0, 20, 15.0, on_gpu=True),
    "record_original": Needs(1000, 1.0, 10, 2.0, on_gpu=True),
    # The weights, an adapter in training, and the keys and values of answers.
    "alter_copy": Needs(3000, 1.7, 30, 20.0, on_gpu=True),
    "sample_answers": Needs(1000, 2.2, 10, 10.0, on_gpu=True),
    "register_checkpoint": Needs(1000, 0.5, 10, 2.0),
    "measure_depth": Needs(1000, 1.0, 10, 4.0, on_gpu=True),
    "measure_utility": Needs(3000, 1.3, 60, 30.0, on_gpu=True),
    "measure_weight_changes": Needs(1000, 0.1, 10, 3.0),
    "teach_model": Needs(1000, 5.0, 20, 30.0, on_gpu=True),
    # recipe.TRAINING_FACTOR, and the weights on their way in and out.
    "unlearn_concept": Needs(1000, 5.0, 20, 15.0, on_gpu=True),
}


@dataclass(frozen=True)
class Jobs:
    """The jobs of a study; `wildcards` as Snakemake has them, in the order of the rule's output."""

    study: Study

    # Input files: manifests, and concepts with their answers.

    def original(self, wildcards: Any) -> str:
        return self.study.manifest_path(wildcards.model, ORIGINAL)

    def checkpoint(self, wildcards: Any) -> str:
        """The manifest of the checkpoint that a job is about: unlearned, or the original."""
        return self.study.manifest_path(wildcards.model, wildcards.method, wildcards.concept)

    def reference(self, wildcards: Any) -> list[str]:
        """The manifest of the reference model that a sweep has as a donor; none in its own."""
        method = self.study.config.reference_donor
        if method in (None, wildcards.method):
            return []
        return [self.study.manifest_path(wildcards.model, method, wildcards.concept)]

    def texts(self, wildcards: Any) -> str:
        return self.study.texts_path(wildcards.model, wildcards.concept)

    def unrelated_texts(self, wildcards: Any) -> str:
        return self.study.texts_path(wildcards.model, unrelated_id(wildcards.concept))

    def retained(self, wildcards: Any) -> list[str]:
        """The concepts whose facts a job's model is to retain, as far as that is known."""
        retained = self.study.retained_concepts(wildcards.model, wildcards.concept)
        return [self.study.concept_path(wildcards.model, concept) for concept in retained]

    def trained_on(self, wildcards: Any) -> list[str]:
        """The concepts whose answers a copy is trained on before it is asked again."""
        if wildcards.alteration != BENIGN:
            return []
        concepts = self.study.benign_concepts(wildcards.concept)
        return [self.study.concept_path(wildcards.model, concept) for concept in concepts]

    # The checkpoint that a job makes: {model}/{checkpoint}, or all three names.

    def made_row(self, wildcards: Any) -> CheckpointRow:
        return self.study.row(*"/".join(wildcards).split("/"))

    def made_manifest(self, wildcards: Any) -> str:
        return self.study.manifest_path(*self.made_row(wildcards).key)

    def start(self, wildcards: Any) -> str:
        return self.study.manifest_path(*self.study.start(self.made_row(wildcards)).key)

    def learned(self, wildcards: Any) -> list[str]:
        learned = self.study.learned_concepts(self.made_row(wildcards))
        return [self.study.concept_path(wildcards.model, concept) for concept in learned]

    # Parameters.

    def row(self, wildcards: Any) -> dict[str, str]:
        """The row of the checkpoint that a job makes, as Snakemake records it.

        Without a column that is empty and was added later: it would repeat jobs that are done.
        """
        row = asdict(self.made_row(wildcards))
        return {key: value for key, value in row.items() if value or key != "tokenizer"}

    def row_of_content(self, wildcards: Any) -> dict[str, str]:
        """As `row`, for a user's folder: without where it is, which is a resource (`source`)."""
        return self.row(wildcards) | {"source": ""}

    def source(self, wildcards: Any) -> str:
        """Where a user's folder is: no parameter, since its content is what counts."""
        return self.made_row(wildcards).source

    def teaching(self, wildcards: Any) -> dict[str, Any]:
        return self.study.config.teaching.of(self.made_row(wildcards).method).model_dump()

    def teaching_seed(self, wildcards: Any) -> int:
        """The seed of a taught model, its row's own: two of them are two models."""
        return seed_of(self.study.config.seed, self.made_row(wildcards).name)

    def method(self, wildcards: Any) -> str:
        return self.study.config.method_of(self.made_row(wildcards).recipe)

    def recipe(self, wildcards: Any) -> dict[str, Any]:
        return self.study.config.recipe(self.made_row(wildcards).recipe).model_dump()

    def prompt(self, wildcards: Any) -> str:
        return self.study.config.models[wildcards.model].prompt

    def resources(self, rule: str) -> dict[str, Any]:
        """What a rule's jobs ask for: more at each attempt. One at a time computes on a GPU."""
        needs, device = NEEDS[rule], self.study.config.device

        def scaled(amount: Callable[[float | None], int]) -> Callable[[Any, int], int]:
            return lambda wildcards, attempt: (
                attempt * amount(self.study.weights_mb(wildcards.model))
            )

        on_gpu = {"gpu": int(device != "cpu"), "device": device} if needs.on_gpu else {}
        return {"mem_mb": scaled(needs.mem_mb), "runtime": scaled(needs.runtime)} | on_gpu
