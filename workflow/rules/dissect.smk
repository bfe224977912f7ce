rule dissect_layers:
    """Patch one component of the original in, window by window: one sweep."""
    input:
        original=jobs.original,
        unlearned=jobs.checkpoint,
        concept_json=jobs.texts,
        recording="<results>/recordings/{model}/{concept}.safetensors",
    output:
        table="<results>/krs/{model}/{method}/{concept}/{experiment}.parquet",
    log:
        "<results>/logs/dissect_layers/{model}/{method}/{concept}/{experiment}.log",
    benchmark:
        "<results>/benchmarks/dissect_layers/{model}/{method}/{concept}/{experiment}.tsv"
    resources:
        **jobs.resources("dissect_layers"),
    params:
        windows=study.config.windows,
        controls=study.config.controls.of_a_sweep(study.config.seed),
        prompt=jobs.prompt,
        dtype=study.config.dtype,
    message:
        "dissect {wildcards.model}, {wildcards.method} on {wildcards.concept}: "
        "{wildcards.experiment}"
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
