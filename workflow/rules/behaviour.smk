rule answer_as_original:
    """The original's answers, with which all others are compared."""
    input:
        original=jobs.original,
        concept_json="<results>/concepts/{model}/{concept}.json",
    output:
        answers="<results>/behaviour/{model}/original/{concept}.parquet",
    log:
        "<results>/logs/answer_as_original/{model}/{concept}.log",
    benchmark:
        "<results>/benchmarks/answer_as_original/{model}/{concept}.tsv"
    resources:
        **jobs.resources("answer_as_original"),
    params:
        prompt=jobs.prompt,
        sets=study.config.behaviour.sets,
        new_tokens=study.config.behaviour.new_tokens,
        dtype=study.config.dtype,
    message:
        "let the original {wildcards.model} answer on {wildcards.concept} and unrelated topics"
    script:
        "../scripts/answer_prompts.py"


use rule answer_as_original as answer_as_unlearned with:
    input:
        original=jobs.original,
        unlearned=jobs.checkpoint,
        original_answers="<results>/behaviour/{model}/original/{concept}.parquet",
        concept_json="<results>/concepts/{model}/{concept}.json",
    output:
        answers="<results>/behaviour/{model}/{method}/{concept}.parquet",
    log:
        "<results>/logs/answer_as_unlearned/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/answer_as_unlearned/{model}/{method}/{concept}.tsv"
    resources:
        **jobs.resources("answer_as_unlearned"),
    message:
        "let {wildcards.model}, {wildcards.method} on {wildcards.concept}, answer the same"


rule answer_patched:
    """The same with a window of the original's states patched in, in prompt and answer."""
    input:
        original=jobs.original,
        unlearned=jobs.checkpoint,
        original_answers="<results>/behaviour/{model}/original/{concept}.parquet",
        concept_json="<results>/concepts/{model}/{concept}.json",
    output:
        answers="<results>/behaviour/{model}/{method}/{concept}.patched.parquet",
    log:
        "<results>/logs/answer_patched/{model}/{method}/{concept}.log",
    benchmark:
        "<results>/benchmarks/answer_patched/{model}/{method}/{concept}.tsv"
    resources:
        **jobs.resources("answer_patched"),
    params:
        prompt=jobs.prompt,
        sets=study.config.behaviour.patched.sets,
        windows=study.config.behaviour.patched.windows,
        experiments=study.config.patched_experiments(),
        new_tokens=study.config.behaviour.new_tokens,
        dtype=study.config.dtype,
    message:
        "let {wildcards.model}, {wildcards.method} on {wildcards.concept}, answer under patches"
    script:
        "../scripts/answer_patched.py"
