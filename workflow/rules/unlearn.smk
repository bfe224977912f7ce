rule unlearn_concept:
    """Train a copy of the original, or of another row, that unlearns a concept; check that it did."""
    input:
        start=jobs.start,
        concept_json=jobs.texts,
        retain=lambda wildcards: study.auxiliary_paths(*wildcards)["retain"],
        held_out=lambda wildcards: study.auxiliary_paths(*wildcards)["held_out"],
    output:
        manifest="<results>/checkpoints/unlearn/{model}/{method}/{concept}/manifest.json",
        training_log="<results>/training/{model}/{method}/{concept}.parquet",
    log:
        "<results>/logs/unlearn_concept/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/unlearn_concept/{model}/{method}/{concept}.tsv"
    threads: 2
    resources:
        **jobs.resources("unlearn_concept"),
    params:
        code=lambda wildcards: code(
            "unlearn_concept", f"stillknows.training.methods.{jobs.method(wildcards)}"
        ),
        row=jobs.row,
        recipe_method=jobs.method,
        recipe=jobs.recipe,
        prompt=jobs.prompt,
        seed=study.config.seed,
    message:
        "unlearn {wildcards.concept} from {wildcards.model} by {wildcards.method}"
    script:
        "../scripts/unlearn_concept.py"


rule teach_model:
    """Train a copy of the base on answers: all of its model's, or all but its row's concept."""
    input:
        start=jobs.start,
        concepts=jobs.learned,
    output:
        manifest="<results>/checkpoints/teach/{model}/{checkpoint}/manifest.json",
        training_log="<results>/training/taught/{model}/{checkpoint}.parquet",
    log:
        "<results>/logs/teach_model/{model}/{checkpoint}.log",
    benchmark:
        "<results>/benchmarks/teach_model/{model}/{checkpoint}.tsv"
    threads: 2
    resources:
        **jobs.resources("teach_model"),
    params:
        row=jobs.row,
        recipe=jobs.teaching,
        prompt=jobs.prompt,
        seed=jobs.teaching_seed,
    message:
        "teach {wildcards.model} {wildcards.checkpoint}"
    script:
        "../scripts/teach_model.py"
