rule dissect_layers:
    """Put one component of the original back, window by window: one cell of the study."""
    input:
        original=original,
        unlearned=manifest,
        texts=texts,
        recording="<results>/recordings/{model}/{concept}.safetensors",
    output:
        table="<results>/krs/{model}/{method}/{concept}/{experiment}.parquet",
    log:
        "<results>/logs/dissect_layers/{model}/{method}/{concept}/{experiment}.log",
    benchmark:
        "<results>/benchmarks/dissect_layers/{model}/{method}/{concept}/{experiment}.tsv"
    resources:
        gpu=GPU,
        mem_mb=mem_mb("dissect"),
        runtime=runtime("dissect"),
    params:
        # Not as input files: in a rule of thousands of jobs these take a fifth of the planning.
        code=digest_of(CODE["sweep"]),
        windows=study.config.windows,
        prompt=prompt,
        dtype=study.config.dtype,
    message:
        "dissect {wildcards.model}, {wildcards.method} on {wildcards.concept}: "
        "{wildcards.experiment}"
    script:
        "../scripts/dissect_layers.py"
