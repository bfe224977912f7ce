"""Which files of a folder hold a checkpoint's weights. Free of torch: the planning asks, too."""

import re
from pathlib import Path

from stillknows.errors import StudyError
from stillknows.files import read_json_object

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"  # as peft calls it
# A file beside the index, in every case: neither a path nor a name that a message cannot show.
_SHARD = re.compile(r"[\w.+-]{1,200}\.safetensors", re.ASCII)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint; a StudyError if one of them is missing."""
    paths = named_weight_files(folder)
    for path in paths:
        if not path.is_file():
            raise StudyError(
                f"{path} is missing: a checkpoint needs {SINGLE}, or {INDEX} and its shards; "
                "download or save it again"
            )
    return paths


def named_weight_files(folder: Path) -> list[Path]:
    """The one file, or those that the index names, whether they are there or not.

    A StudyError if the folder has both, or an index that does not name files of the folder.
    """
    index = folder / INDEX
    if not index.exists():
        return [folder / SINGLE]
    if (folder / SINGLE).exists():
        raise StudyError(
            f"{folder} holds both {SINGLE} and {INDEX}, which are two sets of weights; remove the "
            "set that is out of date (the single file, or the index and its shards)"
        )
    weight_map = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise StudyError(
            f"{index} has no weight_map that names the file of each tensor; fetch or save the "
            "checkpoint again"
        )
    for name in weight_map.values():
        if not isinstance(name, str) or not _SHARD.fullmatch(name):
            raise StudyError(
                f"{index} names {str(name)[:100]!r} as a file of weights; only .safetensors files "
                "in the same folder are read: save the checkpoint again"
            )
    return [folder / name for name in sorted(set(weight_map.values()))]
