import os


rule measure_exposure:
    """How probable one model holds each fact, beside decoys and about other subjects."""
    input:
        original=jobs.original,
        checkpoint=jobs.checkpoint,
        concept_json=jobs.texts,
    output:
        table="<results>/exposure/{model}/{method}/{concept}.parquet",
    log:
        "<results>/logs/measure_exposure/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/measure_exposure/{model}/{method}/{concept}.tsv"
    wildcard_constraints:
        method=any_of([ORIGINAL, *study.methods]),
    resources:
        **jobs.resources("measure_exposure"),
    params:
        prompt=jobs.prompt,
        drawn=study.config.audit.drawn(),
        dtype=study.config.dtype,
    message:
        "test {wildcards.model}, {wildcards.method} for single facts of {wildcards.concept}"
    script:
        "../scripts/measure_exposure.py"


rule alter_copy:
    """What one copy holds and says of each fact after an alteration of its weights."""
    input:
        original=jobs.original,
        checkpoint=jobs.checkpoint,
        concept_json=jobs.texts,
        retained=jobs.trained_on,
    output:
        association="<results>/{alteration}/{model}/{method}/{concept}.association.parquet",
        answers="<results>/{alteration}/{model}/{method}/{concept}.answers.parquet",
    log:
        "<results>/logs/alter_copy/{alteration}/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/alter_copy/{alteration}/{model}/{method}/{concept}.tsv"
    wildcard_constraints:
        alteration=any_of(ALTERATIONS),
    threads: 2
    resources:
        **jobs.resources("alter_copy"),
    params:
        prompt=jobs.prompt,
        settings=lambda wildcards: study.config.alteration(wildcards.alteration),
        dtype=study.config.dtype,
    message:
        "ask {wildcards.model}, {wildcards.method}, {wildcards.alteration}, for {wildcards.concept}"
    script:
        "../scripts/alter_copy.py"


rule sample_answers:
    """Many sampled answers of one copy to each question that has a fact."""
    input:
        original=jobs.original,
        checkpoint=jobs.checkpoint,
        concept_json=jobs.texts,
    output:
        table="<results>/samples/{model}/{method}/{concept}.parquet",
    log:
        "<results>/logs/sample_answers/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/sample_answers/{model}/{method}/{concept}.tsv"
    resources:
        **jobs.resources("sample_answers"),
    params:
        prompt=jobs.prompt,
        settings=study.config.sampling(),
        dtype=study.config.dtype,
    message:
        "sample answers of {wildcards.model}, {wildcards.method}, on {wildcards.concept}"
    script:
        "../scripts/sample_answers.py"


rule judge_copies:
    """Which facts are still there in each copy, and a verdict on each copy."""
    input:
        exposures=products.results("exposure"),
        recalls=products.results("recall"),
        altered=products.results(*ALTERATIONS),
        further_answers=products.results(*ALTERED_ANSWERS, SAMPLES),
        manifests=products.manifests(),
        uds=products.table("uds.csv"),
        texts=products.texts("exposure"),
        first_use=study.first_use,
    output:
        facts="<results>/tables/facts.csv",
        verdicts="<results>/tables/verdicts.csv",
        verdict_json="<results>/verdict.json",
    log:
        "<results>/logs/judge_copies.log",
    localrule: True
    params:
        control=study.config.audit.control,
        alpha=1 - study.config.audit.confidence,
        origins=study.origins_in_tables,
        study=made_from("exposure", "recall", SAMPLES, *ALTERATIONS, *ALTERED_ANSWERS),
    message:
        "write {output.verdicts}"
    script:
        "../scripts/judge_copies.py"


rule make_audit_page:
    """The verdicts, and the facts one by one, on one page; the verdicts as model cards."""
    input:
        facts="<results>/tables/facts.csv",
        verdicts="<results>/tables/verdicts.csv",
        changes=products.table("weight_changes.csv"),
        utility=products.table("utility.csv"),
        figures=[path for path in products.figures("facts") if path.endswith(".png")],
        captions=[os.path.relpath(HERE / "report" / "facts.rst")],
    output:
        page="<results>/audit.html",
        model_card="<results>/model_card.md",
    log:
        "<results>/logs/make_audit_page.log",
    localrule: True
    params:
        style=study.config.figures.style.model_dump(),
        dataset=study.config.audit.dataset,
    message:
        "make the audit's page"
    script:
        "../scripts/make_audit_page.py"


rule audited:
    input:
        products.audit(),
        products.results("recall"),
        products.table("depth.csv"),
        # Of a study with sweeps, weights are removed after these.
        [] if study.config.experiments else products.released(originals=True),
    localrule: True
    message:
        "each copy has its verdict"
