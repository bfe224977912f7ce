"""What an archive must not disclose of the machine it was made on: folders and access tokens."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

from stillknows.errors import StudyError
from stillknows.parquet_files import metadata_of

# hub tokens; user:password@ in an address.
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}\b")
_LOGIN = re.compile(r"(?<=://)[^/\s@\"']+@")


class Redactor:
    """Absolute paths and what stands for them: a folder's last name, ~, or the path from here."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Of files and folders that texts may name; relative ones are not replaced."""
        replacements = {path: f".../{path.name}" for path in paths if path.is_absolute()}
        replacements |= {Path.home(): "~", Path.cwd(): "."}
        replacements |= {path.resolve(): word for path, word in replacements.items()}
        # Longest first: what lies in a folder before the folder itself.
        ordered = sorted(replacements.items(), key=lambda item: -len(str(item[0])))
        self._words = [
            (re.compile(rf"(?<![\w./~-]){re.escape(str(path))}(?![\w-])"), word)
            for path, word in ordered
            if len(path.parts) > 1
        ]

    def redact(self, text: str, name: str) -> str:
        """The text with every such path replaced.

        Raises:
            StudyError: if the file of that name holds what looks like an access token.
        """
        if _TOKEN.search(text) or (os.environ.get("HF_TOKEN") or "\0") in text:
            raise StudyError(f"{name} holds an access token of the hub: remove it and run again")
        for pattern, word in self._words:
            text = pattern.sub(word, text)
        return _LOGIN.sub("", text)

    def redact_parquet(self, path: Path, copy: Path) -> Path:
        """A parquet file with its metadata redacted: itself, or a copy of the same rows."""
        file = pq.ParquetFile(path)
        metadata = metadata_of(file.schema_arrow)
        clean = {key: self.redact(value, str(path)) for key, value in metadata.items()}
        if clean == metadata:
            return path
        copy.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(copy, file.schema_arrow.with_metadata(clean)) as writer:
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group)
                writer.write_table(rows.replace_schema_metadata(clean), rows.num_rows)
        return copy
