"""What a model can still do, by tasks of lm-evaluation-harness."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillknows.analysis.utility import rows_of
from stillknows.errors import StudyError, reason_of
from stillknows.job import FOUND, run
from stillknows.parquet_files import UTILITY_SCHEMA
from stillknows.study.model_job import ModelJob

log = logging.getLogger("stillknows")


def main(
    *,
    original: Path,
    checkpoint: Path,
    concept_json: Path,
    prompt: str,
    settings: Mapping[str, Any],
    seed: int,
    dtype: str,
    device: str,
    table: Path,
) -> None:
    """Write one row per task and metric.

    Args:
        original, checkpoint: manifests; of the original, only the number format is used.
        concept_json, prompt: name the rows, and change nothing.
        settings: the config's utility.
    """
    try:
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise StudyError(
            f"utility.tasks needs lm-evaluation-harness ({error}); run: pip install -e '.[utility]'"
        ) from error
    # Not before the job has set the number of threads, which torch reads when it is imported.
    from stillknows.answers.generate import load_model

    job = ModelJob(original, concept_json, dtype, device, checkpoint)
    folder = settings["task_folder"]
    manager = TaskManager(include_path=folder)
    known = {*manager.all_tasks}
    if unknown := [name for name in settings["tasks"] if name not in known]:
        raise StudyError(
            f"utility.tasks: {unknown[0]} is not among the {len(known)} tasks and groups of "
            f"lm-evaluation-harness{f' and {folder}' if folder else ''}; `lm_eval ls tasks` lists "
            "them"
        )
    model = load_model(job.model.folder, job.dtype, job.device)
    harness = HFLM(
        pretrained=model,
        tokenizer=job.tokenizer,
        batch_size=settings["batch_size"],
        backend="causal",
    )
    try:
        evaluated = simple_evaluate(
            harness,
            tasks=list(settings["tasks"]),
            num_fewshot=settings["few_shot"],
            limit=settings["limit"],
            task_manager=manager,
            random_seed=seed,
            numpy_random_seed=seed,
            torch_random_seed=seed,
            fewshot_random_seed=seed,
            log_samples=False,
            bootstrap_iters=1000,
        )
    except (OSError, ValueError) as error:
        raise StudyError(
            f"{job.model.label}: lm-evaluation-harness fails ({reason_of(error)}); its data comes "
            "from the hub: check the network, or fetch it on a machine that has one"
        ) from error
    rows = rows_of(evaluated, settings["tasks"])
    job.write(table, rows, UTILITY_SCHEMA, {"prompt": prompt, "utility": dict(settings)})
    named = rows[rows["is_named"]].itertuples()
    said = ", ".join(f"{row.task} {row.metric} {row.value:.3f}" for row in named)
    log.log(FOUND, f"{job.model.label}: {said}")


if __name__ == "__main__":
    run(main, network=True)
