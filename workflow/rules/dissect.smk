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
        controls=study.config.controls.of_a_sweep(study.config.seed),
        prompt=prompt,
        dtype=study.config.dtype,
    message:
        "dissect {wildcards.model}, {wildcards.method} on {wildcards.concept}: "
        "{wildcards.experiment}"
    script:
        "../scripts/dissect_layers.py"


rule check_identity:
    """A model's own states put back into itself must change nothing."""
    input:
        original=original,
        checkpoint=lambda wildcards: (
            original(wildcards) if wildcards.method == "original" else manifest(wildcards)
        ),
        texts=texts,
        recording="<results>/recordings/{model}/{concept}.safetensors",
    output:
        table="<results>/identity/{model}/{method}/{concept}.parquet",
    log:
        "<results>/logs/check_identity/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/check_identity/{model}/{method}/{concept}.tsv"
    wildcard_constraints:
        method=any_of(["original", *study.methods]),
    resources:
        gpu=GPU,
        mem_mb=mem_mb("identity"),
        runtime=runtime("identity"),
    params:
        code=digest_of(CODE["sweep"] + CODE["identity"]),
        window=study.config.windows[0],
        prompt=prompt,
        dtype=study.config.dtype,
    message:
        "check that {wildcards.model}, {wildcards.method}, stays itself with its own states: "
        "{wildcards.concept}"
    script:
        "../scripts/check_identity.py"
