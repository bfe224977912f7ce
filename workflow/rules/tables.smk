rule tables:
    input:
        # Named here, and so in `all`: a deleted file is noticed.
        sweeps=products.sweeps(),
        answers=products.answers(),
        self_patch=products.self_patches(),
        tables=products.tables(),
    localrule: True
    message:
        "all tables written"


rule collect_krs:
    """All sweeps' rows in one table, and which sweeps are done or missing."""
    input:
        sweeps=products.sweeps(),
        manifests=products.manifests(),
        texts=products.report_texts(),
        first_use=study.first_use,
    output:
        table="<results>/tables/krs.parquet",
        coverage_table="<results>/tables/coverage.csv",
    log:
        "<results>/logs/collect_krs.log",
    localrule: True
    params:
        missing=study.missing_sweeps,
        study=expectations.of_sweeps(study),
    message:
        "collect all sweeps in one table"
    script:
        "../scripts/collect_krs.py"


rule collect_self_patch:
    """How far each model's own states, patched into itself, moved its logits."""
    input:
        results=products.self_patches(),
        manifests=products.manifests(),
        texts=products.report_texts(),
        first_use=study.first_use,
    output:
        table="<results>/tables/self_patch.csv",
    log:
        "<results>/logs/collect_self_patch.log",
    localrule: True
    params:
        study=expectations.of_identities(study),
    message:
        "collect all self-patch checks in one table"
    script:
        "../scripts/collect.py"


# Tables, and the modules of dissect.analysis that have the functions of their names.
SUMMARIES = {"curves": "tables", "statistics": "statistics", "controls": "controls"}
for summary, part in SUMMARIES.items():

    rule:
        """Mean curves, what they say, the controls beside them: with intervals over concepts."""
        name:
            f"summarise_{summary}"
        input:
            krs="<results>/tables/krs.parquet",
        output:
            table=f"<results>/tables/{summary}.csv",
        log:
            f"<results>/logs/summarise_{summary}.log",
        localrule: True
        params:
            code=code("summarise", f"dissect.analysis.{part}"),
            part=part,
            seed=study.config.seed,
        message:
            "write {output.table}"
        script:
            "../scripts/summarise.py"


rule summarise_scores:
    """KRS beside KL, top-1 agreement and the answer's log-probability, and where they differ."""
    input:
        krs="<results>/tables/krs.parquet",
    output:
        scores="<results>/tables/scores.csv",
        differing="<results>/tables/disagreements.csv",
    log:
        "<results>/logs/summarise_scores.log",
    localrule: True
    params:
        seed=study.config.seed,
    message:
        "summarise all scores, and where they differ"
    script:
        "../scripts/summarise_scores.py"


rule decide_claims:
    """The paper's claims: holds, not supported, undecided."""
    input:
        krs="<results>/tables/krs.parquet",
        # Empty if no questions are asked: claims that need answers are undecided then.
        behaviour=products.table("behaviour.csv"),
    output:
        table="<results>/tables/claims.csv",
    log:
        "<results>/logs/decide_claims.log",
    localrule: True
    params:
        windows=study.config.windows,
        seed=study.config.seed,
    message:
        "decide the paper's claims"
    script:
        "../scripts/decide_claims.py"
