rule recall_facts:
    """Which facts a model says when it is asked, and which more after it has relearned half."""
    input:
        original=jobs.original,
        checkpoint=jobs.checkpoint,
        concept_json=jobs.texts,
        retained=jobs.retained,
    output:
        table="<results>/recall/{model}/{method}/{concept}.parquet",
    log:
        "<results>/logs/recall_facts/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/recall_facts/{model}/{method}/{concept}.tsv"
    wildcard_constraints:
        method=any_of([ORIGINAL, *study.methods]),
    resources:
        **jobs.resources("recall_facts"),
    params:
        prompt=jobs.prompt,
        settings=study.config.recall.model_dump(),
        seed=study.config.seed,
        dtype=study.config.dtype,
    message:
        "ask {wildcards.model}, {wildcards.method} for the facts of {wildcards.concept}"
    script:
        "../scripts/recall_facts.py"


# All that makes and measures the models of a round, and the modules that a script chooses among.
SCRIPTS_OF_ROUNDS = {
    "teach_model": (),
    "unlearn_concept": tuple(f"stillknows.training.methods.{method}" for method in METHODS),
    "dissect_layers": (),
    "measure_depth": (),
    "measure_weight_changes": (),
    "recall_facts": (),
    "summarise": (),
    "score_round": (),
}

SCRIPTS_OF_FACT_ROUNDS = {
    name: SCRIPTS_OF_ROUNDS.get(name, ())
    for name in [*SCRIPTS_OF_ROUNDS, "measure_exposure", "judge_copies", "score_facts"]
    if name not in ("dissect_layers", "score_round")
}


rule score_round:
    """Every score of the models whose state is known, one row each."""
    input:
        krs="<results>/tables/krs.parquet",
        scores="<results>/tables/scores.csv",
        depth="<results>/tables/depth.parquet",
        weight_changes="<results>/tables/weight_changes.csv",
        recall=lambda wildcards: products.results("recall", model=wildcards.model),
        manifests=products.manifests(),
        texts=products.texts("recall"),
        first_use=study.first_use,
    output:
        table="<results>/rounds/{model}.csv",
    log:
        "<results>/logs/score_round/{model}.log",
    localrule: True
    params:
        base=lambda wildcards: study.row(wildcards.model, BASE).source,
        states=lambda wildcards: study.model_states(wildcards.model),
        reference=study.config.reference,
        settings=study.config.recipes_hash,
        digest_of_code=hash_of(
            {name: code(name, *more) for name, more in SCRIPTS_OF_ROUNDS.items()}
        ),
        study=made_from("recall"),
    message:
        "score the models of known state of {wildcards.model}"
    script:
        "../scripts/score_round.py"


rule score_facts:
    """What the audit says of each fact in each copy, and whether it was taught."""
    input:
        facts="<results>/tables/facts.csv",
        verdicts="<results>/tables/verdicts.csv",
        depth="<results>/tables/depth.parquet",
        weight_changes="<results>/tables/weight_changes.csv",
        exposures=lambda wildcards: products.results("exposure", model=wildcards.model),
        manifests=products.manifests(),
        concepts=lambda wildcards: products.concepts_of_round(wildcards.model),
        first_use=study.first_use,
    output:
        fact_rows_table="<results>/fact_rounds/{model}_facts.csv",
        copy_rows_table="<results>/fact_rounds/{model}_copies.csv",
    log:
        "<results>/logs/score_facts/{model}.log",
    localrule: True
    params:
        base=lambda wildcards: study.row(wildcards.model, BASE).source,
        asked=lambda wildcards: next(
            row.concept for row in study.unlearned if row.model == wildcards.model
        ),
        copies=lambda wildcards: study.copies_of_facts(wildcards.model),
        settings=hash_of([study.config.recipes_hash, study.config.audit.model_dump()]),
        digest_of_code=hash_of(
            {name: code(name, *more) for name, more in SCRIPTS_OF_FACT_ROUNDS.items()}
        ),
        study=made_from("exposure", "recall", "depth", "weight_changes"),
    message:
        "put the facts of {wildcards.model} together"
    script:
        "../scripts/score_facts.py"


rule calibrate:
    """How often each score is wrong, from this study's rounds and finished ones."""
    input:
        # A finished round elsewhere is ancient: what it holds is a parameter.
        finished=[*products.pooled_rounds(), *map(ancient, study.finished_rounds)],
    output:
        rounds="<results>/tables/rounds.csv",
        table="<results>/tables/calibration.csv",
    log:
        "<results>/logs/calibrate.log",
    localrule: True
    params:
        seed=study.config.seed,
        contents={path: sha256_of(Path(path)) for path in study.finished_rounds},
    message:
        "write {output.table}"
    script:
        "../scripts/calibrate.py"
