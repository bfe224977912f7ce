rule trace_parameters:
    """How far the unlearned checkpoint's weights moved, and what became of the concept vector."""
    input:
        original=jobs.original,
        unlearned=jobs.checkpoint,
        concept="<results>/concepts/{model}/{concept}.json",
    output:
        trace="<results>/trace/{model}/{method}/{concept}.parquet",
    log:
        "<results>/logs/trace_parameters/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/trace_parameters/{model}/{method}/{concept}.tsv"
    resources:
        **jobs.resources("trace_parameters"),
    params:
        code=code("trace_parameters"),
    message:
        "trace the parameters of {wildcards.model}, {wildcards.method} on {wildcards.concept}"
    script:
        "../scripts/trace_parameters.py"


rule summarise_trace:
    """The traces of all checkpoints in one table."""
    input:
        traces=products.traces(),
        manifests=products.manifests(),
        concepts=products.concepts(),
        first_use=study.first_use,
    output:
        trace="<results>/tables/trace.csv",
    log:
        "<results>/logs/summarise_trace.log",
    localrule: True
    params:
        code=code("summarise_trace"),
        study={"sources": expectations.of_sources(study)},
    message:
        "put all traces in one table"
    script:
        "../scripts/summarise_trace.py"
