rule record_original:
    """What the original does on a concept's texts: coefficients, attention outputs, logits."""
    input:
        original=jobs.original,
        concept_json=jobs.texts,
    output:
        recording=kept("<results>/recordings/{model}/{concept}.safetensors"),
    log:
        "<results>/logs/record_original/{model}/{concept}.log",
    benchmark:
        "<results>/benchmarks/record_original/{model}/{concept}.tsv"
    resources:
        **jobs.resources("record_original"),
    params:
        prompt=jobs.prompt,
        dtype=study.config.dtype,
    message:
        "record the original {wildcards.model} on {wildcards.concept}"
    script:
        "../scripts/record_original.py"
