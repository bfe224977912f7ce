rule tables:
    input:
        # Named here, and so in `all`: a deleted file is noticed.
        sweeps=products.sweeps(),
        unrelated_sweeps=products.unrelated_sweeps(),
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
        origins=study.origins_apart,
        study=made_from("krs"),
    message:
        "collect all sweeps in one table"
    script:
        "../scripts/collect_krs.py"


# What is a file per checkpoint: the files, the texts that their jobs read, what they must say.
COLLECTED = {
    "self_patch.csv": (
        products.self_patches(),
        products.report_texts(),
        made_from("self_patch"),
    ),
    "weight_changes.csv": (
        products.weight_changes(),
        products.concepts(),
        made_from("weight_changes"),
    ),
    "recall.csv": (
        products.recalls(),
        products.report_texts(),
        made_from("recall"),
    ),
    "answers.parquet": (
        products.answers(),
        products.concepts(),
        made_from("answers", "patched_answers"),
    ),
}
for table, (results, texts, expected) in COLLECTED.items():

    rule:
        """All results of one kind in one table."""
        name:
            f"collect_{Path(table).stem}"
        input:
            results=results,
            # With which the others were compared.
            originals=products.original_answers() if table == "answers.parquet" else [],
            manifests=products.manifests(),
            texts=texts,
            first_use=study.first_use,
        output:
            table=f"<results>/tables/{table}",
        log:
            f"<results>/logs/collect_{Path(table).stem}.log",
        localrule: True
        params:
            study=expected,
            origins=study.origins_apart,
        message:
            "collect {output.table}"
        script:
            "../scripts/collect.py"


# Tables, and the modules of stillknows.analysis that have the functions of their names.
SUMMARIES = {
    "curves": "tables",
    "statistics": "statistics",
    "controls": "controls",
    "reference": "reference",
}
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
            code=code("summarise", f"stillknows.analysis.{part}"),
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
    """The paper's claims: supported, not supported, mixed, undecided."""
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
