"""Starts one sandbox as whoever runs this, from a request on the command line, and passes its exit status on.

A file of its own because the tests run it as other users, from a copy that those can read.
"""

import json
import os
import sys
from pathlib import Path


def main() -> int:
    """Builds the spec with the product's own code, changes it as asked, launches, waits."""
    request = json.loads(sys.argv[1])
    sys.path.insert(0, request["library"])
    if request.get("inherit"):
        # A descriptor that the host has carelessly left inheritable.
        os.dup2(os.open(request["inherit"], os.O_RDONLY), 77, inheritable=True)
    from pit_native import sandbox_spawn
    from symphony.errors import SymphonyError
    from symphony.stage.sandbox import spec_for

    folders = {name: Path(request[name]) for name in ("project", "workdir") if request.get(name)}
    spec = spec_for(request.get("grants", []), argv=request["argv"], **folders)
    for name, values in request.get("change", {}).items():
        spec[name] = {**spec[name], **values} if isinstance(values, dict) else values
    spec["stdio"] = ["inherit", "inherit", "inherit"]
    if request.get("stream"):
        spec["stdio"][0] = {"fd": os.open(request["stream"], os.O_RDONLY)}
    try:
        child = sandbox_spawn(request["launcher"], spec)
    except SymphonyError as error:
        print(f"REFUSED {error.code} {error}", file=sys.stderr)
        return 200
    code = child.wait()
    print(f"CAUSE {child.cause}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
