rule measure_depth:
    """One model's residual stream, patched into the original at the facts, layer by layer."""
    input:
        original=jobs.original,
        donor=jobs.checkpoint,
        concept_json=jobs.texts,
    output:
        table="<results>/depth/{model}/{method}/{concept}.parquet",
    log:
        "<results>/logs/measure_depth/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/measure_depth/{model}/{method}/{concept}.tsv"
    resources:
        **jobs.resources("measure_depth"),
    params:
        forms=study.config.depth.forms,
        prompt=jobs.prompt,
        dtype=study.config.dtype,
    message:
        "measure the depth of {wildcards.model}, {wildcards.method} on {wildcards.concept}"
    script:
        "../scripts/measure_depth.py"
