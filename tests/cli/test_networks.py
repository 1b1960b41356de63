import json

import pytest

from paretonas.zoo import counts, zoo


def test_published_cells_come_in_any_size(command):
    sizes = ("--skeleton", "cifar", "--cells", "6", "--filters", "24", "--stem", "72")
    ran = command("zoo", "pnasnet-5", *sizes, "--resolution", "32", "--classes", "10", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["params"] == 559_090
    assert (found["spec"]["cells"], found["spec"]["filters"], found["spec"]["stem"]) == (6, 24, 72)


def test_auxiliary_classifier_is_counted_beside(command):
    words = ("zoo", "nasnet-a:cells=18", "--skeleton", "cifar", "--resolution", "32", "--classes", "10", "--auxiliary")
    found = json.loads(command(*words, "--json").out)
    assert (found["params"], found["params_in_training"]) == (3_346_538, 4_978_036)
    assert "4,978,036 params in training" in command(*words).out


def test_a_network_tells_apart_as_many_classes_as_were_published_for_it(command, tmp_path):
    found = json.loads(command("zoo", "ssdlite", "--json").out)
    assert [found[key] for key in ("classes", "params", "macs")] == [90, 4_772_466, 782_715_232]
    (tmp_path / "spec.json").write_text(json.dumps(found["spec"]))
    again = json.loads(command("describe", tmp_path / "spec.json", "--resolution", "320", "--json").out)
    assert [again[key] for key in ("classes", "params", "macs")] == [90, 4_772_466, 782_715_232]
    assert "for one of 10000 words" in command("zoo", "lstm").out
    assert "at 320 px with 7 classes" in command("zoo", "ssdlite", "--classes", "7").out


def test_a_network_that_nobody_has_counted_is_counted_when_it_is_listed(command, monkeypatch):
    known = json.loads(command("zoo", "--json").out)
    monkeypatch.delitem(counts.COUNTS, "mnasnet-small")
    assert json.loads(command("zoo", "--json").out) == known
    assert [row["name"] for row in known] == list(zoo)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mnasnet-a1", "--cells", "6"), "got 'cells'"),
        (("mnasnet-a1", "--auxiliary"), "but not one of kind 'mnasnet'"),
        (("nasnet-a", "--skeleton", "moon"), "one of cifar, imagenet, but got 'moon'"),
        (("--cells", "6"), "are of one network"),
    ],
)
def test_sizes_that_a_network_does_not_come_in_are_refused(command, words, message):
    ran = command("zoo", *words)
    assert ran.code == 2
    assert message in " ".join(ran.err.split())


def test_a_backbone_is_counted_as_papers_on_detection_count_it(command):
    choices = "2,1,2,0,2,1,1,2,3,3,1,3,0,0,3,1,3,1,3,2"
    found = json.loads(command("describe", "--space", "detnas", "--choices", choices, "--json").out)
    assert found["backbone"] == {"params": 1_849_680, "macs": 288_082_368}
    assert found["classifier"] == {"params": 3_533_112, "macs": 321_219_008}
    found = json.loads(
        command("zoo", "retinanet:backbone=mobilenet-v2", "--resolution", "128", "--classes", "5", "--json").out
    )
    assert "backbone" not in found
    assert found["classes"] == 5
