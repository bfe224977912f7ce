import os


rule make_report:
    """The study on one page, which needs no other file and no network."""
    input:
        tables=products.report_tables(),
        figures=[path for path in products.figures() if path.endswith(".png")],
        texts=products.texts("krs"),
        rounds=products.rounds(),
        recall=products.report_recalls(),
        captions=[os.path.relpath(HERE / "report" / f"{name}.rst") for name in FIGURES],
    output:
        page="<results>/report.html",
    log:
        "<results>/logs/make_report.log",
    localrule: True
    params:
        windows=study.config.figure_windows(),
        spans=study.config.figures.spans,
        scores=study.config.figures.scores,
        style=study.config.figures.style.model_dump(),
        # Without what changes no result.
        settings=study.config.model_dump(mode="json", exclude={"device"}),
    message:
        "make the report"
    script:
        "../scripts/make_report.py"
