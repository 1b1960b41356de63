"""What users write, read."""

from paretonas.cli.reading import read_toml


def test_what_a_search_finds_out_itself_is_not_taken_from_a_file(tmp_path):
    file = tmp_path / "cats.toml"
    file.write_text('name = "cats"\n[recorded]\nbaseline_of = "dogs"\ndigest = "b2ee"\n')
    assert read_toml(file) == {"name": "cats"}


def test_a_file_from_windows_is_read(tmp_path):
    file = tmp_path / "cats.toml"
    file.write_bytes(b'\xef\xbb\xbfname = "cats"\r\n')
    assert read_toml(file) == {"name": "cats"}
