"""Walks a Dockerfile without an engine: each stage is a folder, in which its lines are carried out.

What a line says about the root, `/opt/facematch` for instance, is done in that folder instead. The
base image is the machine itself, as far as a command needs one.
"""

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

#: The folders of the root that our lines mention.
_OURS = re.compile(r"(?<![\w./}])/(?=(?:app|build|opt|run|var)(?:/|\b))")
_LINE = re.compile(r"^(?P<verb>[A-Z]+)\s+(?P<rest>.*)$", re.DOTALL)
#: What says how an image is used, and does nothing in it.
_TOLD = {"EXPOSE", "STOPSIGNAL", "USER", "HEALTHCHECK", "ENTRYPOINT"}


@dataclass
class Stage:
    """A stage: its folder, the environment and the folder its commands run in, and what it says
    of how it is used, by verb."""

    root: Path
    environment: dict[str, str]
    workdir: str = "/"
    told: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def inside(self, text: str) -> str:
        """The text, with places in this stage for those of the root."""
        return _OURS.sub(f"{self.root}/", text)

    def command(self, verb: str) -> list[str]:
        """What ENTRYPOINT or HEALTHCHECK has run, in its exec form."""
        words = re.search(r"\[(.*)\]", self.told[verb])
        assert words, f"{verb} is not in the exec form"
        return [self.inside(word) for word in re.findall(r'"([^"]*)"', words[1])]

    @property
    def folder(self) -> Path:
        """Where its commands run."""
        return self.root / self.workdir.lstrip("/")


def instructions(text: str) -> list[tuple[str, str]]:
    """The verbs of a Dockerfile, each with the rest of its line."""
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    found = [_LINE.match(line.strip()) for line in lines if line.strip()]
    assert all(found), "a line that is no instruction"
    return [(one["verb"], one["rest"].strip()) for one in found if one]


class Walk:
    """The stages of a Dockerfile, made on demand."""

    def __init__(
        self, dockerfile: Path, scratch: Path, environment: dict[str, str], **arguments: str
    ) -> None:
        """`environment`: what commands find, PATH above all; `arguments`: of the build."""
        self._context = dockerfile.parent
        self._scratch = scratch
        self._environment = environment
        self._arguments = arguments
        self._stages: dict[str, tuple[str, list[tuple[str, str]]]] = {}
        self._made: dict[str, Stage] = {}
        name = ""
        for verb, rest in instructions(dockerfile.read_text()):
            if verb == "FROM":
                base, _, name = rest.partition(" AS ")
                self._stages[name] = (base, [])
            elif name:
                self._stages[name][1].append((verb, rest))

    @property
    def targets(self) -> list[str]:
        """The stages that say what they run, by name."""
        told = {name: {verb for verb, _ in lines} for name, (_, lines) in self._stages.items()}
        return [name for name, verbs in told.items() if "ENTRYPOINT" in verbs]

    def stage(self, name: str) -> Stage:
        """Carried out."""
        if name not in self._made:
            base, lines = self._stages[name]
            root = self._scratch / name
            if base in self._stages:
                before = self.stage(base)
                shutil.copytree(before.root, root, symlinks=True)
                moved = {
                    key: value.replace(str(before.root), str(root))
                    for key, value in before.environment.items()
                }
                stage = Stage(root, moved, before.workdir, dict(before.told), dict(before.labels))
            else:
                root.mkdir(parents=True)
                stage = Stage(root, dict(self._environment))
            for verb, rest in lines:
                self._do(stage, verb, rest)
            self._made[name] = stage
        return self._made[name]

    def _do(self, stage: Stage, verb: str, rest: str) -> None:
        if verb in _TOLD:
            stage.told[verb] = rest
        elif verb == "ARG":
            name, _, default = rest.partition("=")
            stage.environment[name] = self._arguments.get(name, default)
        elif verb == "ENV":
            for name, value in _pairs(rest):
                stage.environment[name] = stage.inside(_filled(value, stage.environment))
        elif verb == "LABEL":
            stage.labels |= {
                name: _filled(value, stage.environment) for name, value in _pairs(rest)
            }
        elif verb == "WORKDIR":
            stage.workdir = rest
            stage.folder.mkdir(parents=True, exist_ok=True)
        elif verb == "COPY":
            self._copy(stage, rest)
        elif verb == "RUN":
            self._run(stage, rest)
        else:
            raise AssertionError(f"nobody has taught the walk what {verb} is")

    def _copy(self, stage: Stage, rest: str) -> None:
        *sources, target = shlex.split(rest)
        origin = self._context
        if sources[0].startswith("--from="):
            origin = self.stage(sources.pop(0).removeprefix("--from=")).root
        place = stage.folder / target if not target.startswith("/") else Path(stage.inside(target))
        for source in sources:
            path = origin / source.lstrip("/")
            if path.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                ignore = ignored if origin == self._context else None
                shutil.copytree(path, place, symlinks=True, dirs_exist_ok=True, ignore=ignore)
            else:
                shutil.copy(path, place)

    def _run(self, stage: Stage, command: str) -> None:
        # A builder's own words stay as they are: what is to be replaced comes from the environment.
        subprocess.run(
            ["sh", "-ec", stage.inside(command)],
            cwd=stage.folder,
            env=stage.environment,
            check=True,
            stdin=subprocess.DEVNULL,
        )


def _pairs(rest: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (word.partition("=") for word in shlex.split(rest))]


def _filled(value: str, environment: dict[str, str]) -> str:
    return re.sub(
        r"\$\{?(\w+)\}?",
        lambda found: environment.get(found[1], os.environ.get(found[1], "")),
        value,
    )
