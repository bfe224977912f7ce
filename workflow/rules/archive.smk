rule archive:
    """One file for a reviewer: tables, figures, report, config, and where all of it comes from."""
    input:
        checkpoints=study.config.checkpoints,
        manifests=products.manifests(),
        tables=products.tables(),
        figures=rules.figures.input,
        report=rules.make_report.output,
    output:
        archive="<results>/archive.zip",
    log:
        "<results>/logs/archive.log",
    localrule: True
    params:
        code=code("archive"),
        config=study.config.model_dump(mode="json"),
    message:
        "pack the study: tables, figures, report, config, provenance"
    script:
        "../scripts/archive.py"
