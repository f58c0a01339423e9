from __future__ import annotations

import functools
import http.server
import shutil
import sys
import threading

import pytest
from conftest import sample_pixels
from PIL import Image

from qbench.errors import DatasetError, ImageError
from qbench.images.reading import read_image
from qbench.registry.registry import default_registry


@pytest.fixture
def kodak():
    return default_registry().datasets["kodak"]()


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """Images of the right number and sizes, and the digests of their pixels."""
    folder = tmp_path_factory.mktemp("stand-ins")
    digests = []
    for number in range(1, 25):
        size = (512, 768) if number in (4, 9, 10) else (768, 512)
        Image.fromarray(sample_pixels(48, 32, number)).resize(size).save(
            folder / f"kodim{number:02d}.png", compress_level=1
        )
        digests.append(read_image(folder / f"kodim{number:02d}.png").digest)
    return folder, tuple(digests)


@pytest.fixture
def server(kodak, stand_ins, tmp_path, monkeypatch):
    """A stand-in for Kodak's home."""
    made, digests = stand_ins
    folder = shutil.copytree(made, tmp_path / "public")
    monkeypatch.setattr(sys.modules[type(kodak).__module__], "DIGESTS", digests)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=made.serve_forever, daemon=True).start()
    monkeypatch.setenv("QBENCH_KODAK_URL", f"http://127.0.0.1:{made.server_port}/")
    yield folder
    made.shutdown()
    made.server_close()


def test_is_never_fetched_unasked(kodak, tmp_path):
    assert not kodak.present(tmp_path)
    with pytest.raises(
        DatasetError, match=r"24 of its 24 images are missing in .*; fetch them with: qbench datasets pull kodak"
    ):
        kodak.images(tmp_path)


def test_is_fetched_on_request(kodak, server, tmp_path):
    home = tmp_path / "kodak"
    told = []
    kodak.fetch(home, lambda *progress: told.append(progress))
    assert len(kodak.images(home)) == 24
    assert kodak.images(home)[3].read().pixels.shape == (768, 512, 3)
    assert told[0] == (0, 24, "kodim01.png")
    assert told[-1] == (24, 24, "")


def test_goes_on_where_it_broke_off(kodak, server, tmp_path):
    home = tmp_path / "kodak"
    (server / "kodim07.png").rename(server / "hidden")
    with pytest.raises(DatasetError, match=r"can't fetch http://.*kodim07\.png: HTTP 404"):
        kodak.fetch(home, lambda *progress: None)
    assert len(list(home.iterdir())) == 6
    (server / "hidden").rename(server / "kodim07.png")
    (server / "kodim03.png").unlink()  # it is there already, so it is not fetched again
    kodak.fetch(home, lambda *progress: None)
    assert kodak.present(home)


@pytest.mark.parametrize("content", ["size", "text", "torn"])
def test_what_is_not_kodaks_is_refused(kodak, server, tmp_path, content):
    path = server / "kodim02.png"
    if content == "size":
        Image.new("RGB", (640, 480)).save(path)
    else:
        path.write_bytes(b"<html>moved</html>" if content == "text" else path.read_bytes()[:5000])
    with pytest.raises(DatasetError, match=r"what http://.*kodim02\.png gave is not Kodak's kodim02"):
        kodak.fetch(tmp_path / "kodak", lambda *progress: None)
    assert sorted(found.name for found in (tmp_path / "kodak").iterdir()) == ["kodim01.png"]


def test_other_pictures_under_kodaks_names_are_not_kodak(kodak, tmp_path):
    for number in range(1, 25):
        Image.new("L", (768, 512), 128).save(tmp_path / f"kodim{number:02d}.png")
    with pytest.raises(ImageError, match=r"kodim01\.png: the pixels differ from Kodak's kodim01\.png"):
        kodak.images(tmp_path)[0].read()


def test_no_network_is_said(kodak, tmp_path, monkeypatch):
    monkeypatch.setenv("QBENCH_KODAK_URL", "http://127.0.0.1:9/")
    with pytest.raises(DatasetError, match=r"can't fetch http://127\.0\.0\.1:9/kodim01\.png"):
        kodak.fetch(tmp_path, lambda *progress: None)


@pytest.mark.network
def test_kodaks_public_home(kodak, tmp_path):
    kodak.fetch(tmp_path, lambda *progress: None)
    assert kodak.present(tmp_path)
