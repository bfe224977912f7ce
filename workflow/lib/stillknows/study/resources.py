"""What a rule's jobs ask for, in one place: memory and time, by the size of the model."""

from typing import NamedTuple

_USUAL_WEIGHTS_MB = 540.0  # the demo's model: where the weights are not there to be measured


class Needs(NamedTuple):
    """What one job needs: a constant (Python, torch, activations), and more per MB or GB of the
    original's weights; minutes until a scheduler may end it, on a GPU or for a small model."""

    constant_mb: int
    per_mb: float
    constant_minutes: int
    minutes_per_gb: float
    on_gpu: bool = False

    def mem_mb(self, weights_mb: float | None) -> int:
        """Megabytes of memory, for an original with so many MB of weights, if that is known."""
        return round(self.constant_mb + self.per_mb * (weights_mb or _USUAL_WEIGHTS_MB))

    def runtime(self, weights_mb: float | None) -> int:
        """Minutes, for the same."""
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
    # The weights twice on their way in, the adapter and activations.
    "relearn_facts": Needs(2500, 2.5, 30, 20.0, on_gpu=True),
    "register_checkpoint": Needs(1000, 0.5, 10, 2.0),
    "measure_depth": Needs(1000, 1.0, 10, 4.0, on_gpu=True),
    "measure_weight_changes": Needs(1000, 0.1, 10, 3.0),
    "teach_model": Needs(1000, 5.0, 20, 30.0, on_gpu=True),
    # recipe.TRAINING_FACTOR, and the weights on their way in and out.
    "unlearn_concept": Needs(1000, 5.0, 20, 15.0, on_gpu=True),
}
