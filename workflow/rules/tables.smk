rule tables:
    input:
        # Named here, and so in `all`: a deleted file is noticed.
        sweeps=products.results("krs"),
        unrelated_sweeps=products.results("krs_unrelated"),
        answers=products.answers(),
        self_patch=products.results("self_patch"),
        tables=products.tables(),
    localrule: True
    message:
        "all tables written"


# What is a file per checkpoint or sweep: the datasets (stillknows.study.datasets) of each table.
COLLECTED = {
    "krs.parquet": ["krs"],
    "krs_unrelated.parquet": ["krs_unrelated"],
    "depth.parquet": ["depth"],
    "answers.parquet": ["answers", "patched_answers"],
    "recall.csv": ["recall"],
    "self_patch.csv": ["self_patch"],
    "weight_changes.csv": ["weight_changes"],
    "utility.csv": ["utility"],
}
for table, datasets in COLLECTED.items():
    is_of_answers = table == "answers.parquet"

    rule:
        """All results of one kind in one table."""
        name:
            f"collect_{Path(table).stem}"
        input:
            results=products.answers() if is_of_answers else products.results(*datasets),
            # With which the others were compared.
            originals=products.original_answers() if is_of_answers else [],
            manifests=products.manifests(),
            texts=products.texts(*datasets),
            first_use=study.first_use,
        output:
            table=f"<results>/tables/{table}",
        log:
            f"<results>/logs/collect_{Path(table).stem}.log",
        localrule: True
        params:
            study=made_from(*datasets),
            origins=study.origins_in_tables,
            reference=study.config.reference,
        message:
            "collect {output.table}"
        script:
            "../scripts/collect.py"


KRS = {"source": "<results>/tables/krs.parquet"}
ANSWERS = {"source": "<results>/tables/answers.parquet"}
DEPTH = {"source": "<results>/tables/depth.parquet"}
# Rule: the tables that it writes, what it reads, and further parameters.
SUMMARIES = {
    "summarise_curves": (["curves", "coverage"], KRS, {"missing": study.missing_sweeps}),
    "summarise_scores": (["scores", "disagreements"], KRS, {}),
    "summarise_statistics": (["statistics"], KRS, {}),
    "summarise_controls": (["controls"], KRS, {}),
    "summarise_reference": (["reference"], KRS, {}),
    "summarise_specificity": (
        ["specificity"],
        {**KRS, "unrelated": "<results>/tables/krs_unrelated.parquet"},
        {},
    ),
    "summarise_behaviour": (["behaviour"], ANSWERS, {}),
    "summarise_depth": (["depth", "uds"], DEPTH, {"without_reference": study.without_reference}),
    # Claims that need answers are undecided if no questions are asked.
    "decide_claims": (
        ["claims"],
        {**KRS, "behaviour": products.table("behaviour.csv")},
        {"windows": study.config.windows},
    ),
}
for summary, (names, sources, more) in SUMMARIES.items():

    rule:
        """Tables of means, statistics, claims, with intervals over concepts."""
        name:
            summary
        input:
            **sources,
        output:
            tables=[f"<results>/tables/{name}.csv" for name in names],
        log:
            f"<results>/logs/{summary}.log",
        localrule: True
        params:
            **more,
            seed=study.config.seed,
        message:
            "write {output.tables}"
        script:
            "../scripts/summarise.py"
