rule archive:
    """One file for a reviewer: tables, figures, report, config, provenance."""
    input:
        checkpoints=study.config.checkpoints,
        manifests=products.manifests(),
        outputs=[*products.tables(), *products.figures(), *products.report()],
    output:
        archive="<results>/archive.zip",
    log:
        "<results>/logs/archive.log",
    localrule: True
    params:
        settings=study.config.model_dump(mode="json"),
    message:
        "pack the study: tables, figures, report, config, provenance"
    script:
        "../scripts/archive.py"
