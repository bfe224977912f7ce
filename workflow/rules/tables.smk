rule tables:
    input:
        # Named here, and so in `all`: a deleted cell is noticed.
        cells=products.cells(),
        answers=products.answers(),
        self_patch=products.self_patches(),
        tables=products.tables(),
    localrule: True
    message:
        "all tables are there"


rule collect_krs:
    """All cells' rows in one table, and which cells are there or missing."""
    input:
        cells=products.cells(),
        manifests=products.manifests(),
        texts=products.report_texts(),
        first_use=study.first_use,
    output:
        table="<results>/tables/krs.parquet",
        coverage="<results>/tables/coverage.csv",
    log:
        "<results>/logs/collect_krs.log",
    localrule: True
    params:
        code=code("collect_krs"),
        missing=study.missing_sweeps,
        study=expectations.of_sweeps(study),
    message:
        "collect all cells in one table"
    script:
        "../scripts/collect_krs.py"


rule collect_self_patch:
    """How far each model's own states, patched into itself, moved its logits."""
    input:
        self_patches=products.self_patches(),
        manifests=products.manifests(),
        texts=products.report_texts(),
        first_use=study.first_use,
    output:
        table="<results>/tables/self_patch.csv",
    log:
        "<results>/logs/collect_self_patch.log",
    localrule: True
    params:
        code=code("collect_self_patch"),
        study=expectations.of_identities(study),
    message:
        "collect all self-patch checks in one table"
    script:
        "../scripts/collect_self_patch.py"


rule summarise_curves:
    """Means over questions, concepts and methods, with intervals over concepts."""
    input:
        table="<results>/tables/krs.parquet",
    output:
        curves="<results>/tables/curves.csv",
    log:
        "<results>/logs/summarise_curves.log",
    localrule: True
    params:
        code=code("summarise_curves"),
        seed=study.config.seed,
    message:
        "summarise the curves"
    script:
        "../scripts/summarise_curves.py"


rule summarise_scores:
    """KRS beside KL, top-1 agreement and the answer's log-probability, and where they differ."""
    input:
        table="<results>/tables/krs.parquet",
    output:
        scores="<results>/tables/scores.csv",
        differing="<results>/tables/disagreements.csv",
    log:
        "<results>/logs/summarise_scores.log",
    localrule: True
    params:
        code=code("summarise_scores"),
        seed=study.config.seed,
    message:
        "summarise all scores, and where they differ"
    script:
        "../scripts/summarise_scores.py"


rule summarise_statistics:
    """Peaks, paired differences, the last layer's share: each with its interval."""
    input:
        table="<results>/tables/krs.parquet",
    output:
        statistics="<results>/tables/statistics.csv",
    log:
        "<results>/logs/summarise_statistics.log",
    localrule: True
    params:
        code=code("summarise_statistics"),
        seed=study.config.seed,
    message:
        "summarise the statistics"
    script:
        "../scripts/summarise_statistics.py"


rule decide_claims:
    """The paper's claims: holds, not supported, undecided."""
    input:
        table="<results>/tables/krs.parquet",
        # Empty if nothing is asked: what needs answers is undecided then.
        behaviour=products.table("behaviour.csv"),
    output:
        claims="<results>/tables/claims.csv",
    log:
        "<results>/logs/decide_claims.log",
    localrule: True
    params:
        code=code("decide_claims"),
        windows=study.config.windows,
        seed=study.config.seed,
    message:
        "decide the paper's claims"
    script:
        "../scripts/decide_claims.py"


rule summarise_controls:
    """The floor of a recovery: what other donors give back, beside the original."""
    input:
        table="<results>/tables/krs.parquet",
    output:
        controls="<results>/tables/controls.csv",
    log:
        "<results>/logs/summarise_controls.log",
    localrule: True
    params:
        code=code("summarise_controls"),
        seed=study.config.seed,
    message:
        "summarise the controls"
    script:
        "../scripts/summarise_controls.py"
