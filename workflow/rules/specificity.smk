rule dissect_unrelated:
    """The original patched into a copy as in its sweeps, on questions unrelated to the concept."""
    input:
        original=jobs.original,
        unlearned=jobs.checkpoint,
        concept_json=jobs.unrelated_texts,
        recording="<results>/recordings/{model}/{concept}.unrelated.safetensors",
    output:
        tables=expand(
            "<results>/krs_unrelated/{model}/{method}/{concept}/{experiment}.parquet",
            experiment=study.config.denoising(),
            allow_missing=True,
        ),
    log:
        "<results>/logs/dissect_unrelated/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/dissect_unrelated/{model}/{method}/{concept}.tsv"
    resources:
        **jobs.resources("dissect_unrelated"),
    params:
        windows=study.config.windows,
        prompt=jobs.prompt,
        dtype=study.config.dtype,
    message:
        "dissect {wildcards} on unrelated questions"
    script:
        "../scripts/dissect_layers.py"
