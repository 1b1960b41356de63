from paretonas.training.progress import ProgressFile, read_share


def test_share_is_what_was_written_last(tmp_path):
    path = tmp_path / "t.progress"
    assert read_share(path) == 0
    progress = ProgressFile(path)
    for done in range(1, 8):
        progress.step(done, 8)
        assert read_share(path) == done / 8


def test_file_is_written_once_a_percent(tmp_path):
    path = tmp_path / "t.progress"
    progress = ProgressFile(path)
    progress.step(100, 1000)
    progress.step(101, 1000)
    assert read_share(path) == 0.1


def test_damaged_file_is_no_share(tmp_path):
    path = tmp_path / "t.progress"
    for text in ("", "[]", "{}", '{"share": "half"}', "\x00"):
        path.write_text(text)
        assert read_share(path) == 0


def test_what_cannot_be_written_disturbs_no_training(tmp_path):
    ProgressFile(tmp_path / "nowhere" / "t.progress").step(1, 2)
