rule tables:
    input:
        # Named here, and so in `all`: a deleted cell is noticed.
        cells=study.cell_paths(),
        krs="<results>/tables/krs.parquet",
        coverage="<results>/tables/coverage.csv",
        curves="<results>/tables/curves.csv",
    message:
        "all tables are there"


rule collect_krs:
    """All cells' rows in one table, and which cells are there or missing."""
    input:
        cells=study.cell_paths(),
        code=CODE["collect"],
    output:
        table="<results>/tables/krs.parquet",
        coverage="<results>/tables/coverage.csv",
    log:
        "<results>/logs/collect_krs.log",
    resources:
        mem_mb=mem_mb("table"),
        runtime=runtime("table"),
    params:
        missing=study.missing_cells,
    message:
        "collect all cells in one table"
    script:
        "../scripts/collect_krs.py"


rule summarise_curves:
    """Means over questions, concepts and methods, with intervals over concepts."""
    input:
        table="<results>/tables/krs.parquet",
        code=CODE["summarise"],
    output:
        curves="<results>/tables/curves.csv",
    log:
        "<results>/logs/summarise_curves.log",
    resources:
        mem_mb=mem_mb("table"),
        runtime=runtime("table"),
    params:
        seed=study.config.seed,
    message:
        "summarise the curves"
    script:
        "../scripts/summarise_curves.py"
