"""The scripts that bring concepts and models: main() in a temporary folder."""

import functools
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fetch_concepts
import import_wheel
import pytest

from stillknows.errors import StudyError
from stillknows.models.checkpoint_row import CheckpointRow
from stillknows.models.manifest import read_manifest
from tiny import save_concepts, save_tiny, tiny_concept

TOY = CheckpointRow("toy", "original", "", "wheel:toy==1", "", "gguf")


def read(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A folder, and the address of a server on this machine that serves it."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Silent, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


def test_fetch_concepts(served: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = served
    there = save_concepts(folder / "c.json", tiny_concept())
    right = hashlib.sha256(there.read_bytes()).hexdigest()
    out = tmp_path / "out" / "c.json"
    fetch_concepts.main(url=f"{url}/c.json", sha256=right, concepts=out)
    assert out.read_bytes() == there.read_bytes()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("c.json", "was refused .*does not match the known hash"),
        ("none.json", "cannot be downloaded .404"),
    ],
)
def test_fetch_concepts_refuses(
    served: tuple[str, Path], tmp_path: Path, name: str, message: str
) -> None:
    url, folder = served
    save_concepts(folder / "c.json", tiny_concept())
    out = tmp_path / "out" / "c.json"
    with pytest.raises(StudyError, match=message) as caught:
        fetch_concepts.main(url=f"{url}/{name}", sha256="0" * 64, concepts=out)
    assert "\n" not in str(caught.value)
    assert list(out.parent.iterdir()) == []


def test_import_wheel_writes_the_manifest_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "toy" / "original"
    folder.mkdir(parents=True)
    (folder / "left_over.safetensors").touch()
    stale = tmp_path / "toy" / ".original.partial"
    stale.mkdir()
    (stale / "model.safetensors").touch()

    def convert(requirement: str, target: Path) -> None:
        assert requirement == "toy==1"
        assert list(target.iterdir()) == []
        assert not (folder / "manifest.json").exists()
        save_tiny(target)

    monkeypatch.setattr(import_wheel, "import_wheel", convert)
    import_wheel.main(row=TOY, manifest=folder / "manifest.json")
    manifest = read_manifest(folder / "manifest.json")
    assert (manifest.source, manifest.origin, manifest.folder) == (TOY.source, "published", folder)
    assert not (folder / "left_over.safetensors").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["original"]
