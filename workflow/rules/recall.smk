rule recall_facts:
    """Which facts a model says when it is asked, and which more after it has relearned half."""
    input:
        original=jobs.original,
        checkpoint=jobs.checkpoint,
        concept_json=jobs.texts,
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


# All that makes and measures the models of a round, beside the methods of unlearning.
SCRIPTS_OF_ROUNDS = (
    "teach_model",
    "unlearn_concept",
    "dissect_layers",
    "measure_depth",
    "recall_facts",
)


rule score_round:
    """Every score of the models whose state is known, one row each."""
    input:
        krs="<results>/tables/krs.parquet",
        scores="<results>/tables/scores.csv",
        depth="<results>/tables/depth.parquet",
        weight_changes="<results>/tables/weight_changes.csv",
        recall=lambda wildcards: products.recalls(wildcards.model),
    output:
        table="<results>/rounds/{model}.csv",
    log:
        "<results>/logs/score_round/{model}.log",
    localrule: True
    params:
        model=lambda wildcards: wildcards.model,
        base=lambda wildcards: study.row(wildcards.model, BASE).source,
        known=lambda wildcards: study.known(wildcards.model),
        reference=study.config.reference,
        settings=study.config.digest_of_making,
        training_code=hash_of({script: code(script) for script in SCRIPTS_OF_ROUNDS}),
    message:
        "score the models of known state of {wildcards.model}"
    script:
        "../scripts/score_round.py"
