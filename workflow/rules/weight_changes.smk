rule measure_weight_changes:
    """How far the unlearned checkpoint's weights moved, and what became of the concept vector."""
    input:
        original=jobs.original,
        unlearned=jobs.checkpoint,
        concept_json="<results>/concepts/{model}/{concept}.json",
    output:
        weight_changes="<results>/weight_changes/{model}/{method}/{concept}.parquet",
    log:
        "<results>/logs/measure_weight_changes/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/measure_weight_changes/{model}/{method}/{concept}.tsv"
    resources:
        **jobs.resources("measure_weight_changes"),
    message:
        "measure the weight changes of {wildcards.model}, {wildcards.method} on {wildcards.concept}"
    script:
        "../scripts/measure_weight_changes.py"
