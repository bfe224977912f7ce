rule measure_utility:
    """What a model can still do, by tasks of lm-evaluation-harness."""
    input:
        original=jobs.original,
        checkpoint=jobs.checkpoint,
        concept_json="<results>/concepts/{model}/{concept}.json",
    output:
        table="<results>/utility/{model}/{method}/{concept}.parquet",
    log:
        "<results>/logs/measure_utility/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/measure_utility/{model}/{method}/{concept}.tsv"
    wildcard_constraints:
        method=any_of([ORIGINAL, *study.methods]),
    resources:
        **jobs.resources("measure_utility"),
    params:
        prompt=jobs.prompt,
        settings=study.config.utility.model_dump(mode="json"),
        seed=study.config.seed,
        dtype=study.config.dtype,
    message:
        "measure the utility of {wildcards.model}, {wildcards.method}, of {wildcards.concept}"
    script:
        "../scripts/measure_utility.py"
