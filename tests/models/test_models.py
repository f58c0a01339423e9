"""Weights: found, fetched, resumed, verified, and refused."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections import namedtuple
from dataclasses import replace

import pytest

from qbench.contracts.weights import Weights
from qbench.errors import ModelError, PluginError
from qbench.models.download import pull
from qbench.models.resolve import find_weights, local_path, pinned, verify
from qbench.registry.catalogue import PluginInfo
from qbench.registry.hookspecs import hookimpl
from qbench.registry.registry import Registry

CONTENT = bytes(range(256)) * 20_000  # about 5 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves one file, with ranges; breaks off or lies as told."""

    content = CONTENT
    break_after: int | None = None
    ranges = True
    declares = SHA256
    asked: list = []  # noqa: RUF012

    def do_GET(self):
        cls = type(self)
        if self.path not in ("/model.safetensors", "/toys/tiny/resolve/main/model.safetensors"):
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        cls.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and cls.ranges else 0
        body = cls.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: cls.break_after] if cls.break_after else body)

    def do_HEAD(self):
        """As the Hugging Face hub describes a large file."""
        cls = type(self)
        if self.path != "/toys/tiny/resolve/main/model.safetensors":
            self.send_error(404)
            return
        cls.asked.append("HEAD")
        self.send_response(200)
        if cls.declares:
            self.send_header("X-Linked-Etag", f'"{cls.declares}"')
            self.send_header("X-Linked-Size", str(len(CONTENT)))
        self.send_header("X-Repo-Commit", "c0ffee")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    class Fresh(Server):
        asked: list = []  # noqa: RUF012

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Fresh)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    Fresh.address = f"http://127.0.0.1:{made.server_port}"
    yield Fresh
    made.shutdown()
    made.server_close()


@pytest.fixture
def weights(server):
    source = f"{server.address}/model.safetensors"
    return Weights("toy-vit", "a toy", source, SHA256, len(CONTENT), "CC0-1.0", "made by a test")


def test_weights_that_are_not_here_name_the_command_and_the_way_without(weights):
    with pytest.raises(
        ModelError,
        match=r"`toy-vit` \(5 MB, CC0-1\.0\) are not downloaded; download them with: qbench models pull toy-vit",
    ):
        find_weights(weights)
    with pytest.raises(ModelError, match="Profile `bundled` needs no download"):
        find_weights(weights)
    with pytest.raises(ModelError, match="qbench models pull toy-vit"):
        verify(weights)


def test_fetched_once_verified_and_found(weights, server, home):
    told = []
    path = pull(weights, lambda done, total: told.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(home)
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert find_weights(weights) == path
    assert pull(weights) == path
    assert server.asked == [None]  # the second pull asked nobody


def test_a_download_that_broke_off_is_taken_up_again(weights, server):
    server.break_after = 2_000_000
    with pytest.raises(ModelError, match="The partial download is kept; rerun the same command to resume"):
        pull(weights)
    kept = local_path(weights).with_suffix(".part").stat().st_size
    assert kept > 0
    assert not local_path(weights).exists()
    server.break_after = None
    assert pull(weights).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={kept}-"]


def test_a_server_that_does_not_resume_is_read_from_the_beginning(weights, server):
    partial = local_path(weights).with_suffix(".part")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"x" * 1000)
    server.ranges = False
    assert pull(weights).read_bytes() == CONTENT


def test_another_file_than_was_published_is_thrown_away(weights, server):
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(ModelError, match=r"gave a file with SHA-256 .*as published; discarded"):
        pull(weights)
    assert list(local_path(weights).parent.iterdir()) == []


def test_a_part_of_something_else_is_noticed_and_the_next_try_is_clean(weights, server):
    partial = local_path(weights).with_suffix(".part")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"x" * 1000)
    with pytest.raises(ModelError, match="discarded"):
        pull(weights)
    assert pull(weights).read_bytes() == CONTENT


def test_a_file_that_changed_since_is_noticed(weights):
    path = pull(weights)
    path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(ModelError, match=r"damaged: SHA-256 .*fetch it again: qbench models pull toy-vit"):
        find_weights(weights)
    path.write_bytes(CONTENT[:1000])
    with pytest.raises(ModelError, match=f"damaged: 1000 bytes, not {len(CONTENT)}"):
        find_weights(weights)
    assert pull(weights).read_bytes() == CONTENT
    assert find_weights(weights) == path


def test_no_network_and_a_wrong_address_are_said(weights, server):
    with pytest.raises(ModelError, match="can't fetch http://127.0.0.1:9/x: .*refused"):  # noqa: RUF043
        pull(replace(weights, source="http://127.0.0.1:9/x"))
    with pytest.raises(ModelError, match=r"HTTP 404"):
        pull(replace(weights, source=f"{server.address}/other"))


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "QBENCH_OFFLINE"])
def test_offline_means_offline(weights, server, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ModelError, match="forbids downloads"):
        pull(weights)
    assert server.asked == []
    monkeypatch.setenv(variable, "0")
    assert pull(weights).is_file()


@pytest.fixture
def on_hub(server, monkeypatch):
    """Weights on a hub, registered without a digest."""
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    return Weights("toys/tiny", "a toy", "hf:toys/tiny/model.safetensors", "", 0, "CC0-1.0", "made by a test")


def test_weights_without_a_digest_are_pinned_to_what_the_hub_declares(on_hub, server, home):
    for asked in (find_weights, verify, pinned):
        with pytest.raises(
            ModelError, match=r"`toys/tiny` \(CC0-1\.0\) are not downloaded; .*qbench models pull toys/tiny"
        ):
            asked(on_hub)
    path = pull(on_hub)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(home / "models" / "toys" / "tiny")
    assert find_weights(on_hub) == verify(on_hub) == path
    assert pinned(on_hub) == replace(on_hub, sha256=SHA256, size=len(CONTENT))
    assert json.loads((path.parent / "pin.json").read_text())["commit"] == "c0ffee"
    assert server.asked == ["HEAD", None]


def test_a_pin_is_kept_when_the_hub_changes_its_mind(on_hub, server):
    path = pull(on_hub)
    path.unlink()
    server.content = CONTENT[:-1] + b"!"
    server.declares = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(ModelError, match=r"not .*as published; discarded"):
        pull(on_hub)


def test_a_file_other_than_the_hub_declares_is_thrown_away(on_hub, server):
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(ModelError, match="discarded"):
        pull(on_hub)
    assert not list(local_path(pinned(on_hub)).parent.glob("*.safetensors"))


def test_a_download_from_the_hub_goes_on(on_hub, server):
    server.break_after = 2_000_000
    with pytest.raises(ModelError, match="rerun the same command to resume"):
        pull(on_hub)
    server.break_after = None
    assert pull(on_hub).read_bytes() == CONTENT
    assert server.asked[:2] == ["HEAD", None]
    assert server.asked[2].startswith("bytes=")


def test_what_the_hub_does_not_have_or_not_declare_is_said(on_hub, server, monkeypatch):
    with pytest.raises(ModelError, match=r"the hub does not give .*404"):
        pull(replace(on_hub, source="hf:toys/other/model.safetensors"))
    server.declares = None
    with pytest.raises(ModelError, match="declares no SHA-256"):
        pull(on_hub)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"can't fetch hf:toys/tiny/model\.safetensors: "):
        pull(on_hub)


def test_a_damaged_pin_is_said(on_hub):
    path = pull(on_hub)
    (path.parent / "pin.json").write_text("{")
    with pytest.raises(ModelError, match=r"pin\.json: damaged .*delete it and fetch again: qbench models pull"):
        find_weights(on_hub)


def test_a_file_of_the_users_own(tmp_path):
    path = tmp_path / "own.safetensors"
    with pytest.raises(ModelError, match=r"own\.safetensors: can't read the weights: No such file"):
        Weights.local(path, "mine")
    path.write_bytes(CONTENT)
    weights = Weights.local(path, "mine", {"labels": 3})
    assert (weights.name, weights.sha256, weights.size, weights.profile) == (
        "own.safetensors",
        SHA256,
        len(CONTENT),
        "local",
    )
    assert find_weights(weights) == verify(weights) == pull(weights) == path
    path.write_bytes(b"!" + CONTENT[1:])
    with pytest.raises(ModelError, match=r"own.safetensors: damaged: SHA-256"):
        verify(weights)
    path.unlink()
    with pytest.raises(ModelError, match="missing since it was given"):
        find_weights(weights)


def as_safetensors(original, converted):
    if original.read_bytes()[:1] == b"!":
        raise ValueError("not of that form")
    converted.write_bytes(b"converted " + original.read_bytes())


@pytest.fixture
def other_form(server):
    """Weights published in another form, of which the beginning of the digest alone is known."""
    source = f"{server.address}/model.safetensors"
    return Weights("toy-gan", "a toy", source, SHA256[:8], 0, "CC0-1.0", "made by a test", convert=as_safetensors)


def test_other_forms_are_converted_once(other_form, server):
    assert other_form.problem() == ""
    with pytest.raises(ModelError, match="qbench models pull toy-gan"):
        find_weights(other_form)
    path = pull(other_form)
    assert path.read_bytes() == b"converted " + CONTENT
    assert find_weights(other_form) == verify(other_form) == pull(other_form) == path
    assert server.asked == [None]
    assert sorted(item.suffix for item in path.parent.iterdir()) == [".json", ".safetensors", ".verified"]
    path.write_bytes(b"?" + path.read_bytes()[1:])
    with pytest.raises(ModelError, match="damaged"):
        verify(other_form)
    assert pull(other_form).read_bytes() == b"converted " + CONTENT


def test_a_file_of_another_digest_is_not_converted(other_form, server):
    with pytest.raises(ModelError, match="discarded"):
        pull(replace(other_form, sha256="0123abcd"))
    server.content = b"!" + CONTENT[1:]
    digest = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(ModelError, match="the download can't be converted: ValueError"):
        pull(replace(other_form, sha256=digest[:8]))


def test_a_download_of_unknown_size_goes_on_and_knows_when_it_is_whole(other_form, server):
    server.break_after = 2_000_000
    with pytest.raises(ModelError, match="rerun the same command to resume"):
        pull(other_form)
    server.break_after = None
    assert pull(other_form).is_file()
    assert server.asked[1].startswith("bytes=")


def test_models_out_of_a_family_are_found_by_the_plugin_that_knows_it(weights):
    class Family:
        @hookimpl
        def qbench_find_model(self, name):
            if name == "broken/one":
                raise RuntimeError("oops")
            if name == "broken/two":
                return replace(weights, size=0)
            return replace(weights, name=name) if name.startswith("family/") else None

    registry = Registry()
    registry.register(Family(), PluginInfo("p", "p", "1"))
    assert registry.model("family/any").name == "family/any"
    with pytest.raises(PluginError, match="unknown model `other`"):
        registry.model("other")
    with pytest.raises(PluginError, match=r"plugin p:p, qbench_find_model:\nTraceback[\s\S]*oops"):
        registry.model("broken/one")
    with pytest.raises(PluginError, match="its size must be in bytes"):
        registry.model("broken/two")


def test_no_room_is_said_before_anything_is_fetched(weights, server, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 10**9, 10**6))
    with pytest.raises(ModelError, match=r"needs 55 MB in .*, where 1 MB are free; make room, or set QBENCH_HOME"):
        pull(weights)
    assert server.asked == []


def test_weights_in_a_package_need_no_fetching(tmp_path, monkeypatch):
    package = tmp_path / "toy_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "w.safetensors").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    weights = Weights("shipped", "a toy", "package:toy_package/w.safetensors", SHA256, len(CONTENT), "CC0-1.0", "test")
    assert weights.profile == "bundled"
    assert find_weights(weights) == verify(weights) == pull(weights) == package / "w.safetensors"
    (package / "w.safetensors").write_bytes(b"!" + CONTENT[1:])
    with pytest.raises(ModelError, match=r"damaged.*reinstall"):
        verify(weights)
    (package / "w.safetensors").unlink()
    with pytest.raises(ModelError, match="missing from the installation"):
        find_weights(weights)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "Bad Name"}, "its name must be"),
        ({"sha256": "abc"}, "its sha256 must be 64 hexadecimal digits"),
        ({"size": 0}, "its size must be in bytes"),
        ({"source": "/somewhere/model.pt"}, "its source must be package:module/path, hf:owner/repository"),
    ],
)
def test_declarations_that_can_not_be_used_are_refused(weights, change, problem):
    registry = Registry()
    info = PluginInfo("p", "p", "1")
    registry.plugins.append(info)
    with pytest.raises(PluginError, match=problem):
        registry.models.add(replace(weights, **change), info)
    registry.models.add(weights, info)
    assert registry.models["toy-vit"] is weights
    with pytest.raises(PluginError, match=r"unknown model `toy-vti`; did you mean `toy-vit`\?"):
        registry.models["toy-vti"]


def test_the_command_line(qbench_command, weights, server, toy_site, environment, tmp_path):
    site = tmp_path / "models_site"
    information = site / "toymodels-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: toymodels\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[qbench]\ntoymodels = toymodels\n")
    (site / "toymodels.py").write_text(
        "from qbench.plugin import Weights, hookimpl\n\n@hookimpl\ndef qbench_register_models(register):\n"
        f"    register({weights!r})\n"
    )
    env = {**environment, "PYTHONPATH": f"{environment['PYTHONPATH']}:{site}"}
    assert "no: qbench models pull toy-vit" in " ".join(qbench_command("models", env=env).stdout.split())
    missing = qbench_command("models", "path", "toy-vit", env=env)
    assert missing.returncode == 2
    assert "qbench models pull toy-vit" in missing.stderr
    pulled = qbench_command("models", "pull", "toy-vit", env=env)
    assert pulled.returncode == 0, pulled.stderr
    assert qbench_command("models", "path", "toy-vit", env=env).stdout == pulled.stdout
    assert "toy-vit: as registered" in qbench_command("models", "verify", env=env).stdout
    assert qbench_command("models", "pull", "toy-vti", env=env).returncode == 2


def test_a_torn_proof_of_a_digest_is_made_anew(weights):
    path = pull(weights)
    path.with_suffix(".verified").write_text('{"sha256": "')
    assert find_weights(weights) == path
    assert json.loads(path.with_suffix(".verified").read_text())["sha256"] == SHA256


@pytest.mark.parametrize("source", ["http://example.org/w.pth", "https://example.org/w.pth"])
def test_what_nobody_could_verify_is_refused(source):
    weights = Weights("w", "a toy", source, "", 0, "CC0-1.0", "a test", convert=lambda original, converted: None)
    assert "its sha256 must be 8 to 64 hexadecimal digits" in weights.problem()
    assert not replace(weights, source="hf:owner/repository/w.pth").problem()
