# One job for each sweep, or one for all sweeps of a copy on a concept, which reads each model once.
PER_COPY = study.config.jobs == "copy"
SWEEPS = "dissect_copy" if PER_COPY else "dissect_layers"
SWEPT = "{model}/{method}/{concept}" if PER_COPY else "{model}/{method}/{concept}/{experiment}"


rule:
    """Patch components of one model into another, window by window: one parquet file per sweep."""
    name:
        SWEEPS
    input:
        original=jobs.original,
        unlearned=jobs.checkpoint,
        reference=jobs.reference,
        concept_json=jobs.texts,
        recording="<results>/recordings/{model}/{concept}.safetensors",
    output:
        tables=expand(
            "<results>/krs/{model}/{method}/{concept}/{experiment}.parquet",
            experiment=study.config.experiments if PER_COPY else "{experiment}",
            allow_missing=True,
        ),
    log:
        f"<results>/logs/{SWEEPS}/{SWEPT}.log",
    benchmark:
        f"<results>/benchmarks/{SWEEPS}/{SWEPT}.tsv"
    resources:
        **jobs.resources(SWEEPS),
    params:
        windows=study.config.windows,
        controls=study.config.controls.of_a_sweep(study.config.seed),
        prompt=jobs.prompt,
        dtype=study.config.dtype,
    message:
        "dissect {wildcards}"
    script:
        "../scripts/dissect_layers.py"


rule check_self_patch:
    """A model's own states, patched into itself, must change nothing."""
    input:
        original=jobs.original,
        checkpoint=jobs.checkpoint,
        concept_json=jobs.texts,
        recording="<results>/recordings/{model}/{concept}.safetensors",
    output:
        table="<results>/self_patch/{model}/{method}/{concept}.parquet",
    log:
        "<results>/logs/check_self_patch/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/check_self_patch/{model}/{method}/{concept}.tsv"
    wildcard_constraints:
        method=any_of(["original", *study.methods]),
    resources:
        **jobs.resources("check_self_patch"),
    params:
        window=study.config.windows[0],
        prompt=jobs.prompt,
        dtype=study.config.dtype,
    message:
        "self-patch check of {wildcards.model}, {wildcards.method} on {wildcards.concept}"
    script:
        "../scripts/check_self_patch.py"
