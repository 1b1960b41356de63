from PIL import Image

from paretonas.data.contents import image_suffixes, list_contents


def test_litter_of_systems_is_no_content(tmp_path):
    for litter in ("__MACOSX/cat", ".ipynb_checkpoints", "@eaDir", "lost+found"):
        (tmp_path / litter).mkdir(parents=True)
        (tmp_path / litter / "1.png").write_bytes(b"")
    (tmp_path / "cat").mkdir()
    for name in (".DS_Store", "._1.png", "Thumbs.db", "desktop.ini", "1.png"):
        (tmp_path / "cat" / name).write_bytes(b"")
    found = list_contents(tmp_path)
    assert (found.files, found.folders) == ([("cat", "1.png")], [("cat",)])


def test_links_are_followed_but_not_in_circles(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "1.png").write_bytes(b"")
    (tmp_path / "set/a/b").symlink_to(tmp_path / "set/b")
    (tmp_path / "set/b/a").symlink_to(tmp_path / "set/a")
    (tmp_path / "set/b/all").symlink_to("/")
    assert ["/".join(file) for file in list_contents(tmp_path / "set").files] == [
        "a/1.png", "a/b/1.png", "b/1.png", "b/a/1.png",
    ]  # fmt: skip


def test_image_suffixes_are_those_that_pillow_itself_reads():
    assert {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".tif", ".mpo", ".qoi", ".psd"} <= image_suffixes()
    assert not {".pdf", ".eps", ".mpg", ".h5", ".wmf", ".palm"} & image_suffixes()
    assert image_suffixes() <= set(Image.registered_extensions())
