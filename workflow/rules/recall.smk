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
    resources:
        **jobs.resources("recall_facts"),
    params:
        prompt=jobs.prompt,
        settings=study.config.recall.model_dump(),
        seed=study.config.seed,
        dtype=study.config.dtype,
    wildcard_constraints:
        method=any_of([ORIGINAL, *study.methods]),
    message:
        "ask {wildcards.model}, {wildcards.method} for the facts of {wildcards.concept}"
    script:
        "../scripts/recall_facts.py"
