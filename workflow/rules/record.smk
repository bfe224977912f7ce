rule record_original:
    """What the original does on a concept's texts: coefficients, attention outputs, logits."""
    input:
        original=original,
        texts=texts,
    output:
        recording=kept("<results>/recordings/{model}/{concept}.safetensors"),
    log:
        "<results>/logs/record_original/{model}/{concept}.log",
    benchmark:
        "<results>/benchmarks/record_original/{model}/{concept}.tsv"
    resources:
        gpu=GPU,
        mem_mb=mem_mb("record"),
        runtime=runtime("record"),
    params:
        code=digest_of(CODE["sweep"]),
        prompt=prompt,
        dtype=study.config.dtype,
    message:
        "record the original {wildcards.model} on {wildcards.concept}"
    script:
        "../scripts/record_original.py"
