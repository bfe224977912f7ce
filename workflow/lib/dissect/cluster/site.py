"""The site file: what only the user of a cluster can know, put into the Slurm profile's words."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dissect.errors import DissectError

SITE_FILE = Path("profiles/slurm/site.yaml")
# Rules that compute on a GPU where the study's device is not cpu (a test compares with the rules).
GPU_RULES = (
    "answer_as_original",
    "answer_as_unlearned",
    "answer_patched",
    "answer_questions",
    "check_identity",
    "dissect_layers",
    "record_original",
    "unlearn_concept",
)


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
            raise ValueError("gpu_type and gpu_gres are two ways to say the same: keep one")
        return self


@dataclass(frozen=True)
class Resources:
    """Entries of a Snakemake profile: resources of every job, and of single rules."""

    default: dict[str, str | int] = field(default_factory=dict)
    of_rules: dict[str, dict[str, str | int]] = field(default_factory=dict)


def read_site() -> Resources:
    """The site's resources, from the file that DISSECT_SITE names, or profiles/slurm/site.yaml.

    Without a file, Slurm's own defaults hold: the default partition and account, any GPU.

    Raises:
        DissectError: if DISSECT_SITE names no file, or the file has an unknown or wrong entry.
    """
    named = os.environ.get("DISSECT_SITE")
    path = Path(named) if named else SITE_FILE
    if not path.is_file():
        if named:
            raise DissectError(f"DISSECT_SITE names {named}, which is no file: correct or unset it")
        return resources(Site())
    try:
        return resources(Site.model_validate(yaml.safe_load(path.read_text("utf-8")) or {}))
    except yaml.YAMLError as error:
        raise DissectError(f"{path} is no YAML: {str(error).splitlines()[0]}") from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "the file"
        raise DissectError(
            f"{path}: {name}: {first['msg']}; legal keys: {', '.join(Site.model_fields)} "
            "(profiles/slurm/site.example.yaml)"
        ) from error


def resources(site: Site) -> Resources:
    """The site in the words of Snakemake's Slurm plugin."""
    # Rules state what they need; this is for those that need next to nothing.
    default: dict[str, str | int] = {"mem_mb": 1000, "runtime": 10}
    gpu: dict[str, str | int] = {}
    named = {
        "slurm_account": site.account,
        "slurm_partition": site.cpu_partition or site.partition,
        "qos": site.qos,
        "constraint": site.constraint,
        "slurm_extra": site.extra,
    }
    default |= {key: _literal(value) for key, value in named.items() if value}
    if site.cpu_partition and site.partition:
        gpu["slurm_partition"] = _literal(site.partition)
    if site.gpu_type:
        gpu["gpu_model"] = _literal(site.gpu_type)
    if site.gpu_gres:
        # Instead of --gpus, which such sites do not take; the job step inherits what is allocated.
        gpu |= {"gpu": 0, "gres": _literal(site.gpu_gres)}
    return Resources(default, dict.fromkeys(GPU_RULES, gpu) if gpu else {})


def _literal(value: str) -> str:
    """As a Python string: Snakemake evaluates resources, and `all` would be a function."""
    return repr(value)
