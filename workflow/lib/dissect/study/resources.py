"""What a job asks for, in one place: memory and time, by the size of the model."""

# Memory in MB: a constant (Python, torch, activations) and a multiple of the original's weights.
# answer_patched: two models, each on its way in twice.
# unlearn: TRAINING_FACTOR, and the weights on their way in and out.
_MEMORY = {
    "answer": (1000, 2.2),
    "answer_patched": (1200, 3.2),
    "register": (1000, 0.5),
    "import": (1000, 2.8),
    "merge": (1000, 2.2),
    "unlearn": (1000, 5.0),
    "record": (1000, 1.0),
    "dissect": (1000, 1.0),
    "identity": (1000, 1.0),
    "trace": (1000, 0.1),
    "table": (1000, 0.0),
    "plot": (800, 0.0),
}
# Minutes: a constant, and how many more per GB of the original's weights.
_RUNTIME = {
    "answer": (10, 3.0),
    "answer_patched": (20, 10.0),
    "register": (10, 2.0),
    "download": (60, 30.0),
    "import": (20, 0.0),
    "merge": (10, 5.0),
    "unlearn": (20, 15.0),
    "record": (10, 2.0),
    "dissect": (20, 8.0),
    "identity": (10, 4.0),
    "trace": (10, 3.0),
    "table": (20, 0.0),
    "plot": (10, 0.0),
}
_USUAL_WEIGHTS_MB = 540.0  # the demo's model: where the weights are not there to be measured


def memory_mb(task: str, weights_mb: float | None) -> int:
    """Megabytes of memory for one job of a kind, for an original with so many MB of weights."""
    constant, factor = _MEMORY[task]
    return round(constant + factor * (_USUAL_WEIGHTS_MB if weights_mb is None else weights_mb))


def runtime_minutes(task: str, weights_mb: float | None) -> int:
    """Minutes until a scheduler may end the job, on a GPU or for a small model."""
    constant, per_gb = _RUNTIME[task]
    return round(
        constant + per_gb * (_USUAL_WEIGHTS_MB if weights_mb is None else weights_mb) / 1e3
    )
