rule fetch_concepts:
    """Download a model's concept file and check its sha256."""
    output:
        concepts="<results>/concepts/{model}.json",
    log:
        "<results>/logs/fetch_concepts/{model}.log",
    localrule: True
    params:
        url=lambda wildcards: study.config.models[wildcards.model].concepts.url,
        sha256=lambda wildcards: study.config.models[wildcards.model].concepts.sha256,
    message:
        "fetch the concept file of {wildcards.model}"
    script:
        "../scripts/fetch_concepts.py"


rule prepare_concept:
    """Copy one concept out of its model's file.

    The entry's digest is a parameter; a user's file is no input. So nothing runs again if it is
    moved, or if a concept is added to it.
    """
    input:
        fetched=fetched_concept_file,
    output:
        concept_json="<results>/concepts/{model}/{concept}.json",
    log:
        "<results>/logs/prepare_concept/{model}/{concept}.log",
    localrule: True
    resources:
        # Not a parameter: another path with the same entry changes nothing.
        concepts=lambda wildcards: study.config.concept_file(wildcards.model),
    params:
        digest=lambda wildcards: study.concept_digest(wildcards.model, wildcards.concept),
        is_answered=lambda wildcards: study.is_answered(wildcards.model, wildcards.concept),
    message:
        "prepare the concept {wildcards.concept} of {wildcards.model}"
    script:
        "../scripts/prepare_concept.py"


rule answer_questions:
    """The original's own greedy answers, where a concept file has none."""
    input:
        original=jobs.original,
        concept_json="<results>/concepts/{model}/{concept}.json",
    output:
        answers="<results>/answers/{model}/{concept}.json",
    log:
        "<results>/logs/answer_questions/{model}/{concept}.log",
    benchmark:
        "<results>/benchmarks/answer_questions/{model}/{concept}.tsv"
    resources:
        **jobs.resources("answer_questions"),
    params:
        prompt=jobs.prompt,
        new_tokens=study.config.answer_tokens,
        dtype=study.config.dtype,
    message:
        "let {wildcards.model} answer the questions on {wildcards.concept}"
    script:
        "../scripts/answer_questions.py"
