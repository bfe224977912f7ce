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


# What is a file per checkpoint or sweep: the files, the texts that their jobs read, what they must
# say of the study.
COLLECTED = {
    "krs.parquet": (products.sweeps(), products.report_texts(), made_from("krs")),
    "krs_unrelated.parquet": (
        products.unrelated_sweeps(),
        products.unrelated_texts(),
        made_from("krs_unrelated"),
    ),
    "depth.parquet": (products.depths(), products.report_texts(), made_from("depth")),
    "answers.parquet": (
        products.answers(),
        products.concepts(),
        made_from("answers", "patched_answers"),
    ),
    "recall.csv": (products.recalls(), products.report_texts(), made_from("recall")),
    "self_patch.csv": (products.self_patches(), products.report_texts(), made_from("self_patch")),
    "weight_changes.csv": (
        products.weight_changes(),
        products.concepts(),
        made_from("weight_changes"),
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
