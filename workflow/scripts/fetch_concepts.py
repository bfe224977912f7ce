"""Fetch a concept file by its address and check its sha256."""

import logging
from ftplib import all_errors
from pathlib import Path

import pooch

from stillknows.errors import StudyError
from stillknows.files import atomic_path
from stillknows.job import run

log = logging.getLogger("stillknows")


def main(*, url: str, sha256: str, concepts: Path) -> None:
    """Write the file, or raise a `StudyError` if it cannot be fetched or has another sha256."""
    with atomic_path(concepts) as partial:
        try:
            pooch.retrieve(url, f"sha256:{sha256}", fname=partial.name, path=partial.parent)
        except all_errors as error:  # those of http are OSErrors and among them
            raise StudyError(
                f"{url} cannot be downloaded ({_first_line(error)}); check the address and the "
                "network, or save the file and name it in the config by path:"
            ) from error
        except ValueError as error:  # pooch: a protocol that it does not know, or a wrong hash
            raise StudyError(
                f"{url} was refused ({_first_line(error)}); check url and sha256 in the config"
            ) from error
        log.info("fetched %s, %.1f kB, sha256 %s", url, partial.stat().st_size / 1e3, sha256)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


if __name__ == "__main__":
    run(main)
