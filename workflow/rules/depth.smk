rule measure_depth:
    """One model's residual stream, patched into the original at the facts, layer by layer."""
    input:
        original=jobs.original,
        donor=jobs.checkpoint,
        concept_json=jobs.texts,
    output:
        table="<results>/depth/{model}/{method}/{concept}.parquet",
    log:
        "<results>/logs/measure_depth/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/measure_depth/{model}/{method}/{concept}.tsv"
    resources:
        **jobs.resources("measure_depth"),
    params:
        forms=study.config.depth.forms,
        prompt=jobs.prompt,
        dtype=study.config.dtype,
    message:
        "measure the depth of {wildcards.model}, {wildcards.method} on {wildcards.concept}"
    script:
        "../scripts/measure_depth.py"


rule collect_depth:
    """The unlearned models' depth beside their reference's: by layer, and as UDS."""
    input:
        depths=products.depths(),
        manifests=products.manifests(),
        texts=products.report_texts(),
        first_use=study.first_use,
    output:
        depth="<results>/tables/depth.parquet",
        uds_table="<results>/tables/uds.csv",
    log:
        "<results>/logs/collect_depth.log",
    localrule: True
    params:
        reference=study.config.reference,
        study=made_from("depth"),
    message:
        "compare all depths with the reference's"
    script:
        "../scripts/collect_depth.py"


rule summarise_depth:
    """UDS, fact loss and surviving facts of unlearned models, beside their reference's."""
    input:
        depth="<results>/tables/depth.parquet",
    output:
        table="<results>/tables/depth.csv",
    log:
        "<results>/logs/summarise_depth.log",
    localrule: True
    params:
        without_reference=study.without_reference,
        seed=study.config.seed,
    message:
        "write {output.table}"
    script:
        "../scripts/summarise_depth.py"
