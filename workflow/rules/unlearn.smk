rule unlearn_concept:
    """Train a copy of the original that unlearns one concept, and check that it did."""
    input:
        original=original,
        concept=texts,
        retain=lambda wildcards: study.companion_paths(*wildcards)["retain"],
        held_out=lambda wildcards: study.companion_paths(*wildcards)["held_out"],
    output:
        manifest="<results>/checkpoints/unlearn/{model}/{method}/{concept}/manifest.json",
        training_log="<results>/training/{model}/{method}/{concept}.parquet",
    log:
        "<results>/logs/unlearn_concept/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/unlearn_concept/{model}/{method}/{concept}.tsv"
    threads: 2
    resources:
        gpu=GPU,
        mem_mb=mem_mb("unlearn"),
        runtime=runtime("unlearn"),
    params:
        code=lambda wildcards: digest_of(training_code(wildcards)),
        row=lambda wildcards: asdict(study.row(*wildcards)),
        recipe=lambda wildcards: study.config.recipe(wildcards.method).model_dump(),
        prompt=prompt,
        seed=study.config.seed,
    message:
        "unlearn {wildcards.concept} from {wildcards.model} by {wildcards.method}"
    script:
        "../scripts/unlearn_concept.py"
