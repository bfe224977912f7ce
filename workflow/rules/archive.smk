localrules:
    archive,


rule archive:
    """One file for a reviewer: tables, figures, report, config, and where all of it comes from."""
    input:
        checkpoints=study.config.checkpoints,
        manifests=products.manifests(),
        # The cells' rows stand in tables/krs.parquet.
        tables=[path for path in rules.tables.input if is_in(path, "tables")],
        figures=rules.figures.input,
        report=rules.make_report.output,
        code=CODE["archive"],
    output:
        archive="<results>/archive.zip",
    log:
        "<results>/logs/archive.log",
    resources:
        mem_mb=mem_mb("table"),
        runtime=runtime("table"),
    params:
        config=study.config.model_dump(mode="json"),
    message:
        "pack the study: tables, figures, report, config, provenance"
    script:
        "../scripts/archive.py"
