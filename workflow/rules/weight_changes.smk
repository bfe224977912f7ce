rule measure_weight_changes:
    """How far the unlearned checkpoint's weights moved, and what became of the concept vector."""
    input:
        original=jobs.original,
        unlearned=jobs.checkpoint,
        concept_json="<results>/concepts/{model}/{concept}.json",
    output:
        weight_changes="<results>/weight_changes/{model}/{method}/{concept}.parquet",
    log:
        "<results>/logs/measure_weight_changes/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/measure_weight_changes/{model}/{method}/{concept}.tsv"
    resources:
        **jobs.resources("measure_weight_changes"),
    message:
        "measure the weight changes of {wildcards.model}, {wildcards.method} on {wildcards.concept}"
    script:
        "../scripts/measure_weight_changes.py"


rule collect_weight_changes:
    """The weight changes of all checkpoints in one table."""
    input:
        results=products.weight_changes(),
        manifests=products.manifests(),
        texts=products.concepts(),
        first_use=study.first_use,
    output:
        table="<results>/tables/weight_changes.csv",
    log:
        "<results>/logs/collect_weight_changes.log",
    localrule: True
    params:
        study={"sources": expectations.of_sources(study)},
    message:
        "put all weight changes in one table"
    script:
        "../scripts/collect.py"
