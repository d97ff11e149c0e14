"""`make images` and `make k8s-up`, with programs in place of docker, kubectl and kind that write
down what they are asked."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSION = "0.1.0"


class Programs:
    """A folder of programs that only write down how they are called."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "log"

    def add(self, name: str, body: str = "") -> None:
        program = self._folder / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>{self._log}\n{body}\n')
        program.chmod(0o755)

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        usual = "/usr/bin:/bin"
        # None of the machine's own.
        for name in ("docker", "podman", "kubectl", "kind"):
            if not (self._folder / name).exists():
                self.add(name, "exit 1")
        return subprocess.run(
            [ROOT / script, *arguments],
            env={"PATH": f"{self._folder}:{usual}", "HOME": os.environ.get("HOME", "/")},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def asked(self) -> list[str]:
        return self._log.read_text().splitlines()


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_every_target_is_built_by_the_engine_that_is_there(programs: Programs, engine: str) -> None:
    programs.add(engine)
    done = programs.run("packaging/make-images", "", "registry.example.com")
    assert done.returncode == 0, done.stderr
    built = [line for line in programs.asked if line.startswith(f"{engine} build")]
    assert [line.split()[3] for line in built] == ["api", "index", "worker", "worker-milvus"]
    assert f"--tag registry.example.com/facematch-api:{VERSION}" in built[0]
    assert f"--build-arg VERSION={VERSION}" in built[0]


def test_without_an_engine_it_says_so(programs: Programs) -> None:
    done = programs.run("packaging/make-images")
    assert done.returncode == 1
    assert done.stderr == "Neither docker nor podman is there and running.\n"


def test_a_local_cluster_gets_images_secrets_and_manifests(programs: Programs) -> None:
    programs.add("docker")
    programs.add("kind")
    programs.add(
        "kubectl",
        'case "$*" in\n*current-context) echo kind-faces ;;\n*"get secret"*) exit 1 ;;\n'
        '*"apply -f -") cat >/dev/null ;;\nesac',
    )
    done = programs.run("k8s/up")
    assert done.returncode == 0, done.stderr
    asked = programs.asked
    for name in ("api", "index", "worker"):
        image = f"localhost/facematch-{name}:{VERSION}"
        assert f"kind load docker-image --name faces {image}" in asked
    assert asked.index("kubectl apply -f -") < asked.index("kubectl apply -k k8s/overlays/local")
    assert asked[-1] == "kubectl -n facematch rollout status --timeout 600s deployment/worker"


def test_secrets_that_are_there_stay(programs: Programs) -> None:
    programs.add("docker")
    programs.add("kind")
    programs.add("kubectl", 'case "$*" in\n*current-context) echo kind-faces ;;\nesac')
    assert programs.run("k8s/up").returncode == 0
    assert "kubectl apply -f -" not in programs.asked


def test_a_cluster_that_is_not_local_is_left_alone(programs: Programs) -> None:
    programs.add("kubectl", 'case "$*" in\n*current-context) echo production ;;\nesac')
    done = programs.run("k8s/up")
    assert done.returncode == 1
    assert "production is no cluster of kind, minikube or k3d" in done.stderr
    assert not [line for line in programs.asked if "apply" in line]


def test_the_local_overlay_has_the_images_that_are_built() -> None:
    told = (ROOT / "k8s/overlays/local/kustomization.yaml").read_text()
    for name in ("api", "index", "worker"):
        assert f'newName: localhost/facematch-{name}\n    newTag: "{VERSION}"' in told


def test_the_version_is_that_of_the_code() -> None:
    from facematch import __version__

    assert __version__ == VERSION
    for file in ("Dockerfile", "compose.yaml", "k8s/overlays/production/kustomization.yaml"):
        assert VERSION in (ROOT / file).read_text()
