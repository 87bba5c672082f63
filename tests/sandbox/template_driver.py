"""Starts Players from one template, as whoever runs this: one request and one answer a line, as JSON.

A file of its own because the tests run it as other users, from a copy that those can read.
"""

import json
import os
import select
import sys
import tempfile
from pathlib import Path
from typing import Any


class Host:
    """A host with a template, and the Players that it has left running."""

    def __init__(self, setting: dict[str, Any]) -> None:
        from pit_native import PlayerTemplate
        from symphony.stage.sandbox import template_spec

        self.launcher = setting["launcher"]
        self.folder = Path(tempfile.mkdtemp(dir=setting["base"]))
        spec = template_spec(Path(setting["native"]))
        watched = [Path(path) for path in setting.get("watched", [])]
        self.template = PlayerTemplate(self.launcher, spec, watched)
        self.left: list[Any] = []

    def await_state(self, wanted: list[str]) -> dict[str, Any]:
        """Waits for one of the wanted states of the template."""
        while self.template.status()["state"] not in wanted:
            select.select([self.template.fileno()], [], [], 20)
            os.eventfd_read(self.template.fileno())
        return self.template.status()

    def play(self, request: dict[str, Any]) -> dict[str, Any]:
        """Starts a Player with `script` as its entry; waits for its end unless it is to be left."""
        from pit_native import sandbox_spawn
        from symphony.errors import SymphonyError
        from symphony.stage.sandbox import player_spec

        os.environ.update(request.get("env", {}))
        extension = Path(tempfile.mkdtemp(dir=self.folder))
        (extension / "player.py").write_text(request["script"])
        for name, text in request.get("files", {}).items():
            (extension / name).parent.mkdir(exist_ok=True)
            (extension / name).write_text(text)
        project = Path(request["project"]) if request.get("project") else None
        spec = player_spec(request.get("grants", []), extension_dir=extension, project=project)
        # What a program gets; a Player gets less.
        spec["loopback"] = True
        del spec["executables"]
        for name, values in request.get("change", {}).items():
            spec[name] = {**spec[name], **values} if isinstance(values, dict) else values
        for number, source in enumerate(request.get("shown", [])):
            spec["mounts"].append({"source": source, "target": f"/shown/{number}", "mode": "read_only"})
        out, err = (os.open(extension / name, os.O_CREAT | os.O_RDWR) for name in ("out", "err"))
        spec["stdio"] = ["null", {"fd": out}, {"fd": err}]
        try:
            if request.get("cold"):
                child, why = sandbox_spawn(self.launcher, spec), None
            else:
                child, why = self.template.spawn(spec)
        except SymphonyError as error:
            return {"code": 200, "out": "", "err": f"REFUSED {error.code} {error}", "why": None}
        finally:
            os.close(out)
            os.close(err)
        answer: dict[str, Any] = {"why": why, "pid": child.pid, "player": child.player_pid}
        if request.get("leave"):
            self.left.append(child)
            return answer
        code = child.wait()
        texts = {name: (extension / name).read_text(errors="replace") for name in ("out", "err")}
        return {**answer, "code": code, "cause": child.cause, **texts}


def main() -> None:
    """Answers until standard input ends."""
    setting = json.loads(sys.argv[1])
    sys.path.insert(0, setting["library"])
    if setting.get("inherit"):
        os.dup2(os.open(setting["inherit"], os.O_RDONLY), 77, inheritable=True)
    host = Host(setting)
    for line in sys.stdin:
        request = json.loads(line)
        verb = request.pop("verb")
        if verb == "play":
            answer = host.play(request)
        elif verb == "warm":
            host.template.warm()
            answer = host.await_state(["warm", "failed"])
        elif verb == "await":
            answer = host.await_state(request["states"])
        else:
            answer = host.template.status()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
