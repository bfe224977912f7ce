"""The site file: what only the user of a cluster knows, as options of the Slurm profile."""

import os
from pathlib import Path
from typing import NamedTuple, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stillknows.errors import StudyError, first_problem
from stillknows.study.jobs import NEEDS

SITE_FILE = Path("profiles/slurm/site.yaml")
# On a GPU where the study's device is not cpu.
GPU_RULES = [rule for rule, needs in NEEDS.items() if needs.on_gpu]


class Site(BaseModel):
    """What site.example.yaml explains, key by key."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    account: str | None = None
    partition: str | None = None
    cpu_partition: str | None = None
    qos: str | None = None
    gpu_type: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.]+$")
    gpu_gres: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_]+(:[A-Za-z0-9_.]+)?(:\d+)?$")
    constraint: str | None = None
    extra: str | None = None

    @model_validator(mode="after")
    def _one_way_to_ask_for_a_gpu(self) -> Self:
        if self.gpu_type and self.gpu_gres:
            raise ValueError("gpu_type and gpu_gres both request the GPU: keep one")
        return self


class Resources(NamedTuple):
    """Entries of a Snakemake profile: resources of every job, and of single rules."""

    default: dict[str, str | int]
    of_rules: dict[str, dict[str, str | int]]


def read_site() -> Resources:
    """The site's resources, from DISSECT_SITE or profiles/slurm/site.yaml, if any."""
    named = os.environ.get("DISSECT_SITE")
    path = Path(named) if named else SITE_FILE
    if named and not path.is_file():
        raise StudyError(f"DISSECT_SITE names {named}, which is not a file: correct or unset it")
    text = path.read_text("utf-8") if path.is_file() else ""
    try:
        return resources(Site.model_validate(yaml.safe_load(text) or {}))
    except yaml.YAMLError as error:
        raise StudyError(f"{path} is not YAML: {str(error).splitlines()[0]}") from error
    except ValidationError as error:
        raise StudyError(
            f"{path}: {first_problem(error)}; allowed keys: {', '.join(Site.model_fields)} "
            "(profiles/slurm/site.example.yaml)"
        ) from error


def resources(site: Site) -> Resources:
    """The site in the words of Snakemake's Slurm plugin."""
    named = {
        "slurm_account": site.account,
        "slurm_partition": site.cpu_partition or site.partition,
        "qos": site.qos,
        "constraint": site.constraint,
        "slurm_extra": site.extra,
    }
    # Rules state what they need; this is for those that need next to nothing. The names as Python
    # strings: Snakemake evaluates resources, and `all` would be a function.
    default: dict[str, str | int] = {"mem_mb": 1000, "runtime": 10}
    default |= {key: repr(value) for key, value in named.items() if value}
    gpu: dict[str, str | int] = {}
    if site.cpu_partition and site.partition:
        gpu["slurm_partition"] = repr(site.partition)
    if site.gpu_type:
        gpu["gpu_model"] = repr(site.gpu_type)
    if site.gpu_gres:
        # Instead of --gpus, which such sites do not take; the job step inherits what is allocated.
        gpu |= {"gpu": 0, "gres": repr(site.gpu_gres)}
    return Resources(default, {rule: gpu for rule in GPU_RULES if gpu})
