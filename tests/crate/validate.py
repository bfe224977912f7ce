"""Compare an archive with the profile Workflow Run Crate: validate.py ARCHIVE [ARCHIVE ...].

Prints a JSON list of problems per archive. No network is needed, or used. This is run by the Python
of the environment that requirements.txt describes, not by that of the project.
"""

import importlib.resources
import json
import sys
from typing import Any

from requests import ConnectionError, PreparedRequest, Response
from requests.adapters import HTTPAdapter
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.services import validate

# The one address that the validation needs. rocrate 0.15 contains this context.
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
PROFILE = "workflow-run-crate"


def send(_: HTTPAdapter, request: PreparedRequest, **__: Any) -> Response:
    """Answer a request in place of the network: the context, or a failure."""
    if request.url != CONTEXT:
        raise ConnectionError(f"{request.url} is on the network", request=request)
    response = Response()
    response.url, response.request, response.status_code = CONTEXT, request, 200
    response.headers["Content-Type"] = "application/ld+json"
    response._content = (importlib.resources.files("rocrate") / "data/ro-crate.jsonld").read_bytes()
    assert response.json()["@id"] == CONTEXT
    return response


def problems(archive: str) -> list[str]:
    """What the profile, or one that it builds on, requires and the archive lacks."""
    settings = ValidationSettings(
        rocrate_uri=archive,
        profile_identifier=PROFILE,
        requirement_severity=Severity.REQUIRED,
        no_cache=True,
    )
    result = validate(settings)
    found = [f"{issue.check.identifier}: {issue.message}" for issue in result.get_issues()]
    assert result.passed() == (not found)
    return found


if __name__ == "__main__":
    HTTPAdapter.send = send  # type: ignore[method-assign]
    print(json.dumps([problems(archive) for archive in sys.argv[1:]]))
