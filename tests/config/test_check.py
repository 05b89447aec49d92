"""The config check: what is wrong is refused, all of it, by name and value."""

import copy
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from forms import RECURRENT
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf, open_dict

from seqexp.config.check import SECTIONS, Root, check, describe, find_faults, rules
from seqexp.config.groups import SUPPLIED
from seqexp.errors import ConfigError
from seqexp.ranges import Count, OpenShare, Rate, Share

CONF = ROOT / "conf"


def composed(*overrides: str) -> DictConfig:
    OmegaConf.register_new_resolver(
        "absolute", lambda path: str(Path(path).absolute()), replace=True
    )
    OmegaConf.register_new_resolver("cores", lambda: 2, replace=True)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


@pytest.fixture(scope="module")
def good() -> dict[str, Any]:
    return check(composed())


def changed(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(config)
    node = config
    *parts, last = key.split(".")
    for part in parts:
        node = node[part]
    node[last] = value
    return config


OPTIONS = [
    (group, str(file.relative_to(CONF / group).with_suffix("")))
    for group in (*SUPPLIED, "experiment")
    for file in sorted((CONF / group).rglob("*.yaml"))
]


def test_there_are_options_to_check() -> None:
    assert len(OPTIONS) > 10
    assert {group for group, _ in OPTIONS} == {*SUPPLIED, "experiment"}


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_of_every_group_is_sound(group: str, option: str) -> None:
    if option == "ray" and find_spec("ray") is None:
        pytest.skip("Ray is not among what the tests install")
    some_file = f"dataset.positives={ROOT / 'README.md'}"  # the check does not look into it
    needs = {
        ("trainer", "tbptt"): ["model=rnn"],  # windows need a model that reads forwards
        ("dataset", "fasta"): [some_file],
        ("model", "kneser-ney"): ["dataset=chars"],
        ("model", "read-errors"): ["dataset=noisy-reads", "dataset.view=clusters"],
        ("decode", "denoise"): ["experiment=denoise"],
        ("experiment", "fasta"): [some_file],
        ("experiment", "fasta-ensemble"): [some_file],
        ("experiment", "promoters"): [f"dataset.table={ROOT / 'README.md'}"],
        ("tracking", "server"): ["tracking.uri=http://localhost:5000"],
    }
    try:
        checked = check(composed(f"{group}={option}", *needs.get((group, option), [])))
    except ConfigError as error:  # an experiment on data that are not ours
        assert group == "experiment" and all("It is not shipped" in fault for fault in error.faults)
    else:
        assert checked["seed"] == 0


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("model.hiden_layers", [3], "model.hiden_layers: unknown; did you mean hidden_layers?"),
        ("sead", 1, "sead: unknown; did you mean seed?"),
        ("trainer.device", "gpu", "did you mean cuda?"),
        (
            "trainer.max_minutes",
            1e-12,
            "trainer.max_minutes is 1e-12; give a number at least 1e-06",
        ),
        (
            "trainer.num_threads",
            10**5,
            "trainer.num_threads is 100000; give an integer from 1 to 1024",
        ),
        ("trainer.replicas", 1000, "trainer.replicas is 1000; give an integer from 1 to 256"),
        ("epochs", 3, "epochs: unknown; did you mean trainer.epochs?"),
        ("model.num_filters", -1, "model.num_filters is -1; give an integer from 1 to 65536"),
        ("model.num_filters", 0, "model.num_filters is 0; give an integer from 1 to 65536"),
        ("model.num_filters", 10**12, "model.num_filters is 1000000000000; give an integer from 1"),
        ("model.num_filters", "many", "model.num_filters is 'many'; give an integer"),
        ("model.num_filters", "8", "model.num_filters is '8'; give an integer"),
        ("model.num_filters", True, "model.num_filters is True; give an integer"),
        ("model.num_filters", 1.5, "model.num_filters is 1.5; give an integer"),
        ("model.num_filters", None, "model.num_filters is None; give an integer"),
        ("model.num_filters", [1], r"model.num_filters is \[1\]; give an integer"),
        ("model.padding", "smae", "model.padding is 'smae'; give one of auto, same.*mean same"),
        ("model.dropout", 1.0, "model.dropout is 1.0; give a number at least 0 and below 1"),
        ("model.dropout", float("nan"), "model.dropout is nan"),
        ("model.spec", 1, "model.spec: seqexp gives this itself"),
        ("trainer.clip_norm", 0.0, "trainer.clip_norm is 0.0; give a number above 0"),
        ("trainer.clip_norm", float("inf"), "trainer.clip_norm is inf; give a number above 0"),
        ("trainer.deterministic", "yes", "trainer.deterministic is 'yes'; give true or false"),
        ("trainer.device", "tpu", "trainer.device is 'tpu'; give one of auto, cpu, cuda"),
        ("optimizer.lr", -0.1, "optimizer.lr is -0.1; give a number from 0 to 1000"),
        ("optimizer.lr", 1e38, "optimizer.lr is 1e.38; give a number from 0 to 1000"),
        ("optimizer.betas", [0.9, 1.5], r"optimizer.betas is \[0.9, 1.5\]; give a list of"),
        ("optimizer.betas", [0.9], r"optimizer.betas is \[0.9\]"),
        ("optimizer.params", [], "optimizer.params: seqexp gives this itself"),
        ("seed", -1, "seed is -1; give an integer at least 0"),
        ("optimized_metric", "valid/los", "optimized_metric is 'valid/los': no such metric"),
        ("paths", 3, "paths is 3; give a mapping of outputs, data"),
        ("model", "cnn1d", "model is 'cnn1d'; choose one on the command line, as model=NAME"),
        (
            "model._target_",
            "os.system",
            "model._target_ is 'os.system'; allowed are seqexp.model.cnn1d.CNN1D",
        ),
        ("model._target_", "seqexp.model.cnn1d.CNN2D", "model._target_ is .*CNN2D"),
        ("model.activation", {"_target_": "os.getcwd"}, "model.activation._target_ is 'os.getcwd'"),
        ("model.hidden_layers", [{"_target_": "os.getcwd"}], "a _target_ may not stand here"),
        (
            "dataset.length",
            10,
            "dataset.length is 10, but motif MA0149.1 .* is 18 wide; give .* 18",
        ),
        ("dataset.motif", "nowhere.meme", "dataset.motif: nowhere.meme: there is no such file"),
        ("dataset.num_train", 10**9, "ask for .* letters, .* GiB; half of this machine's memory"),
        (
            "dataset.background",
            [0.3, 0.3, 0.3, 0.3],
            "which sums to 1.2; give shares that sum to 1",
        ),
        ("dataset.background", [0.5, 0.5], r"dataset.background is \[0.5, 0.5\]"),
        ("dataset.num_valid", 0, "trainer.test_weights is best, but dataset.num_valid is 0"),
        ("dataset.keras_validation_split", 0.3, "give one of them"),
        (
            "schedule._target_",
            "torch.optim.lr_scheduler.ReduceLROnPlateau",
            "give schedule=plateau, which follows trainer.monitor",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    good: dict[str, Any], key: str, value: Any, says: str
) -> None:
    faults = list(find_faults(changed(good, key, value)))
    assert any(re.search(says, fault) for fault in faults), faults


def test_all_faults_stand_in_one_message(good: dict[str, Any]) -> None:
    broken = changed(good, "model.num_filters", -1)
    broken = changed(broken, "trainer.epoch", 3)
    broken = changed(broken, "dataset.length", 5)
    broken = changed(broken, "sead", 3)
    with pytest.raises(ConfigError) as caught:
        check(OmegaConf.create(broken))
    text = str(caught.value)
    assert "4 faults" in text
    for key in ("model.num_filters is -1", "trainer.epoch:", "dataset.length is 5", "sead:"):
        assert key in text


def test_a_key_without_a_default_must_be_there(good: dict[str, Any]) -> None:
    broken = copy.deepcopy(good)
    broken["schedule"] = {"_target_": "seqexp.optimizer.schedule.inverse_time"}
    del broken["seed"]
    faults = list(find_faults(broken))
    assert "schedule.decay: missing; give a number at least 0" in faults
    assert "seed: missing; give it a value" in faults


def test_missing_values_and_dangling_references_are_named() -> None:
    config = composed()
    with open_dict(config):
        config.model.num_filters = "???"
    with pytest.raises(ConfigError, match="model.num_filters: has no value"):
        check(config)
    config = composed()
    with open_dict(config):
        config.model.num_filters = "${nowhere.at_all}"
    with pytest.raises(ConfigError, match="model.num_filters: .*nowhere"):
        check(config)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ([], "dataset.positives is null; give one of dataset.positives, dataset.sequences"),
        (
            ["dataset.positives=README.md", "dataset.table=README.md"],
            "dataset.positives and dataset.table are both given",
        ),
        (["dataset.sequences=README.md"], "dataset.sequences is README.md and .*labels is None"),
        (
            ["dataset.table=nowhere/promoters_lafleur.tsv.gz"],
            "dataset.table is nowhere/promoters.* no such file.*not shipped.*doi:10.1038/s41467",
        ),
        (
            ["dataset.positives=README.md", "dataset.targets=[a]"],
            "dataset.targets is .'a'., but dataset.positives is given, which asks for a class",
        ),
        (["dataset.positives=README.md", "dataset.alphabet=HH"], "is 'HH', which has 'H' twice"),
        (
            [
                "dataset.positives=README.md",
                "dataset.alphabet=protein",
                "dataset.reverse_complement=true",
            ],
            "dataset.reverse_complement is true, but dataset.alphabet is protein",
        ),
        (
            ["dataset.positives=README.md", "dataset.length=10"],
            "dataset.length is 10, but dataset.min_length is 20",
        ),
        (
            ["dataset.table=README.md", "dataset.targets=[sequence]"],
            "dataset.sequence_column is 'sequence', which is asked for too",
        ),
        (["dataset.positives=nowhere.fa"], "dataset.positives is nowhere.fa: there is no such"),
        (
            ["dataset.positives=README.md", "dataset.negatives=nowhere.fa"],
            "dataset.negatives is nowhere.fa: there is no such file",
        ),
        (
            ["dataset.positives=README.md", "dataset.test_names='['"],
            r"dataset.test_names is '\[', which is no regular expression",
        ),
        (
            ["dataset.positives=README.md", "model.filter_width=24"],
            "model.filter_width is 24, but dataset.min_length is 20; give min_length=24",
        ),
        (
            ["dataset.positives=README.md", "dataset.valid_share=0.0"],
            "trainer.test_weights is best, but dataset.valid_share is 0.0",
        ),
    ],
)
def test_sequences_of_ones_own_are_checked_before_they_are_read(
    monkeypatch: pytest.MonkeyPatch, overrides: list[str], says: str
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError, match=says):
        check(composed("dataset=fasta", *overrides))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["model.strands=both", "model.readout=mean"], "model.strands is both and .* is mean"),
        (
            ["model.positive_readout=true", "model.hidden_layers=[3]"],
            r"model.positive_readout is true, but model.hidden_layers is \[3\]",
        ),
        (
            ["model.positive_readout=true", "model.num_layers=2"],
            "model.positive_readout is true, but model.num_layers is 2",
        ),
        (
            ["model.num_layers=3", "model.padding=valid"],
            "filter_width is 19 in 3 layers .*length is 40; give a filter_width of at most 14",
        ),
        (["interpret.database=nowhere.meme"], "interpret.database is nowhere.meme: there is no"),
        (["interpret.database=pyproject.toml"], "interpret.database is pyproject.toml: begins"),
        (
            ["interpret.database=pyproject.toml", "interpret.match=false"],
            "interpret.database is pyproject.toml, but interpret.match is false",
        ),
    ],
)
def test_filters_that_cannot_be_read_so_are_refused(
    monkeypatch: pytest.MonkeyPatch, overrides: list[str], says: str
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError, match=says):
        check(composed(*overrides))


@pytest.mark.parametrize("model", ["cnn1d", "lstm"])
def test_patterns_are_refused_before_any_work_where_modisco_is_missing(
    monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *more: None if name == "modiscolite" else find_spec(name, *more),
    )
    check(composed(f"model={model}", "interpret.patterns=false"))
    with pytest.raises(ConfigError, match=r"interpret.patterns is true, .*'seqexp\[explain\]'"):
        check(composed(f"model={model}", "interpret.patterns=true"))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            ["dataset=motif", "trainer.bptt.k1=5"],
            "model.convolution.padding is auto, .*bptt.k1=5 cuts .* give causal, or k1=null",
        ),
        (
            ["dataset=chars", "model.convolution.padding=same"],
            "convolution.padding is same, .* next token predicted; give causal or auto",
        ),
        (
            ["trainer.replicas=2", "model.convolution.dropout=0.1"],
            "model.convolution.dropout is 0.1, but trainer.replicas is 2",
        ),
        (["model.convolution.width=0"], "model.convolution.width is 0; give an integer from 1"),
        (["model.context_convolution.channels=0"], "channels is 0; give an integer from 1 to 64"),
    ],
)
def test_convolutions_before_the_recurrence_are_checked(overrides: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check(composed("model=rnn", "model.convolution.filters=4", *overrides))


def test_a_rule_reads_groups_and_keys_beside_them() -> None:
    known = {*SUPPLIED, *Root.__annotations__, *SECTIONS}
    assert {"dataset", "model", "trainer", "experiment_name"} <= known
    read = {name for names in rules().values() for name in names}
    assert {"dataset", "model", "trainer", "experiment_name"} <= read <= known
    rooms = {rule.__module__ for rule in rules()}
    assert rooms == {f"seqexp.{room}.check" for room in ("dataset", "model", "tracking", "trainer")}


def test_nesterov_wants_momentum() -> None:
    with pytest.raises(
        ConfigError, match="optimizer.nesterov is true, but optimizer.momentum is 0"
    ):
        check(composed("optimizer=sgd", "optimizer.nesterov=true"))
    with pytest.raises(ConfigError, match="optimizer.dampening is 0.5"):
        check(
            composed(
                "optimizer=sgd",
                "optimizer.nesterov=true",
                "optimizer.momentum=0.9",
                "+optimizer.dampening=0.5",
            )
        )


def test_a_forget_bias_needs_a_forget_gate() -> None:
    stacked = ("model=stacked-rnn", "model.forget_bias=1.0")
    assert check(composed(*stacked, "model.cell=lstm"))
    with pytest.raises(ConfigError, match="model.forget_bias is 1.0, but cells of model.cell=gru"):
        check(composed(*stacked, "model.cell=gru"))


def test_an_optimizer_that_evaluates_the_loss_itself_is_refused(good: dict[str, Any]) -> None:
    broken = changed(good, "optimizer", {"_target_": "torch.optim.LBFGS", "lr": 0.1})
    with pytest.raises(ConfigError, match="LBFGS.*wants to evaluate the loss several times"):
        check(OmegaConf.create(broken))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["trainer.bptt.k1=0"], "trainer.bptt.k1 is 0; give an integer from 1"),
        (["trainer.bptt.k1=8", "trainer.bptt.k2=4"], "trainer.bptt.k2 is 4, but .* give k2 >= 8"),
        (
            ["trainer.length_pool=9", "model=cnn1d", "model.readout=flatten"],
            "model.readout is flatten, but tr",
        ),
        (["trainer.length_pool=9", "trainer.bptt.k1=8"], "trainer.bptt.k1 is 8, but"),
        (["trainer.bptt.k2=4"], "trainer.bptt.k2 is 4, but trainer.bptt.k1 is null"),
        (["++trainer.bptt.k3=4"], "trainer.bptt.k3: unknown; known are k1, k2"),
        (["trainer.bptt.k1=8", "model.bidirectional=true"], "model.bidirectional is true, but"),
        (["trainer.bptt.k1=8", "model.readout=mean"], "model.readout is mean, but .* give last"),
        (
            ["trainer.bptt.k1=8", "model=cnn1d", "model.readout=last"],
            "model.padding is auto, but .* give causal",
        ),
    ],
)
def test_truncation_that_cannot_work_is_refused(overrides: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check(composed("model=rnn", *overrides))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["model=cnn1d", "model.padding=same"], "model.padding is same, .* give causal$"),
        (["model=lstm", "model.bidirectional=true"], "model.bidirectional is true, .* give false$"),
        (["dataset.path=nowhere.txt"], "dataset.path is nowhere.txt: there is no such file"),
        (["dataset.path=conf", "dataset.text=abc"], "dataset.text is given too; give one of them"),
        (["dataset.valid_share=0.0"], "trainer.test_weights is best, but dataset.valid_share is 0"),
        (["dataset.valid_share=0.6", "dataset.test_share=0.6"], "leaves too little for training"),
        (["decode.temperatures=[-1]"], "decode.temperatures is .* give a list .a number from 0"),
        (["decode.temperatures=[]"], "decode.temperatures is"),
    ],
)
def test_a_text_task_that_cannot_work_is_refused(overrides: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(composed("dataset=chars", *overrides))
    assert any(re.search(says, fault) for fault in caught.value.faults), caught.value.faults


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["model=cnn1d"], "CNN1D has no hidden state .* model=rnn, lstm or stacked-rnn, or"),
        (["model=rnn", "model.bidirectional=true"], "model.bidirectional is true, .* give false"),
        (["model=lstm", "model.readout=mean"], "model.readout is mean, .* give last"),
    ],
)
def test_gradient_flow_is_of_states_that_only_read_forward(overrides: list[str], says: str) -> None:
    measured = "gradient_flow.every_epochs is 2, but "
    with pytest.raises(ConfigError, match=measured + says):
        check(composed("dataset=motif", "gradient_flow.every_epochs=2", *overrides))
    assert check(composed("dataset=motif", *overrides))  # off, anything goes


def test_gradient_flow_can_be_measured_of_every_recurrent_model() -> None:
    assert len(RECURRENT) >= 3
    for model in RECURRENT:
        check(composed(f"model={model}", "gradient_flow.every_epochs=1"))
        for dataset in ("chars", "noisy-reads"):  # next tokens, where readout reads out nothing
            next_token = (f"dataset={dataset}", "model.readout=mean")
            check(composed(f"model={model}", "gradient_flow.every_epochs=1", *next_token))
    assert check(composed("gradient_flow=none"))["gradient_flow"] is None


def test_next_token_models_may_have_any_causal_choice() -> None:
    assert check(composed("dataset=chars", "model=cnn1d", "trainer=tbptt"))
    assert check(composed("dataset=chars", "model=lstm", "model.readout=mean", "trainer=tbptt"))


def test_a_filter_wider_than_the_sequence_needs_padding() -> None:
    wide = ("model.filter_width=50", "dataset.length=40")
    assert check(composed(*wide, "model.padding=same"))
    with pytest.raises(ConfigError, match="model.filter_width is 50 .* dataset.length is 40"):
        check(composed(*wide, "model.padding=valid"))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["dataset.path=nowhere.csv"], "dataset.path: nowhere.csv: there is no such file or fold"),
        (["dataset.path=README.md"], "dataset.path: README.md: give a .csv, .tsv"),
        (["dataset.path=${table}"], "dataset.path: .* no column 'text'; did you mean 'txt'"),
        (["dataset.test_path=a.csv"], "dataset.test_path is a.csv, but dataset.path is null"),
        (["dataset.targets=[a]"], "dataset.targets is .'a'., but dataset.path is null, and made"),
        (["dataset.task=regression"], "dataset.task is regression, but dataset.path is null"),
        (
            ["dataset.path=${table}", "dataset.targets=[a,a]"],
            "dataset.targets names 'a' twice; give each column once",
        ),
        (
            ["dataset.path=${table}", "dataset.targets=[a,b]", "dataset.task=sequence_class"],
            "dataset.task is sequence_class, but dataset.targets names 2 columns",
        ),
        (
            ["dataset.path=${table}", "dataset.text_column=txt", "dataset.targets=[lable]"],
            "dataset.path: .* no column 'lable'; did you mean 'label'.*dataset.targets",
        ),
        (["dataset.task=next_token", "dataset.targets=[a]"], "which asks for no column, but"),
        (["dataset.label_column=text"], "text_column and dataset.label_column are both 'text'"),
        (["dataset.test_share=0.0"], "dataset.test_share is 0.0; give a number above 0 and at m"),
        (["dataset.valid_share=0.0"], "trainer.test_weights is best, but dataset.valid_share is 0"),
        (["dataset.max_tokens=2"], "dataset.max_tokens is 2; give an integer from 3"),
        (["dataset.truncate=left"], "dataset.truncate is 'left'; give one of head, tail"),
        (["dataset.vectors=nowhere.txt"], "dataset.vectors: nowhere.txt: there is no such file"),
        (["dataset.vectors=${vectors}"], "model.embedding_size is auto, but .* has 3 values a wor"),
        (["dataset.vectors=${vectors}", "model.embedding_size=4"], "is 4, but .*embedding_size=3"),
        (
            ["model=cnn1d", "model.padding=valid", "dataset.max_length=9"],
            "model.padding is valid, but dataset.max_length is 9",
        ),
        (["dataset=imdb", "model.embedding_size=null"], "makes each of 20,000 words as many numb"),
        (
            ["dataset=imdb", "dataset.validate_on_test=true"],
            "dataset.validate_on_test is true and dataset.valid_share is 0.1; give one of them",
        ),
    ],
)
def test_a_task_of_words_that_cannot_work_is_refused(
    tmp_path: Path, overrides: list[str], says: str
) -> None:
    (tmp_path / "table.csv").write_text("txt,label\na,b\n")
    (tmp_path / "vectors.txt").write_text("film 1 2 3\n")
    for name in ("table.csv", "vectors.txt"):
        variable = "${" + name.split(".")[0] + "}"
        overrides = [item.replace(variable, str(tmp_path / name)) for item in overrides]
    with pytest.raises(ConfigError) as caught:
        check(composed("model=lstm", "dataset=text", *overrides))
    assert any(re.search(says, fault) for fault in caught.value.faults), caught.value.faults


def test_words_may_be_validated_and_embedded_in_any_way_that_works(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,b\n")
    (tmp_path / "v.txt").write_text("film 1 2 3\n")
    given = [f"dataset.{key}={tmp_path}/a.csv" for key in ("path", "valid_path", "test_path")]
    vectors = [f"dataset.vectors={tmp_path}/v.txt", "model.embedding_size=3"]
    assert check(composed("dataset=text", "dataset.valid_share=0.0", *given, *vectors))
    assert check(composed("dataset=imdb", "dataset.max_tokens=99", "model.embedding_size=null"))


def test_a_trusted_package_may_be_named_and_no_other(good: dict[str, Any]) -> None:
    named = changed(good, "model", {"_target_": "fractions.Fraction", "numerator": 1})
    assert any("fractions.Fraction" in fault for fault in find_faults(named))
    assert not list(find_faults(changed(named, "trusted_packages", ["fractions"])))


def test_a_refused_target_is_never_imported(
    good: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "untrusted.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for target in ("untrusted.Model", 3):
        # another part is sound, so that its rules are asked
        faults = list(find_faults(changed(good, "model._target_", target)))
        assert len(faults) == 1 and "model" in faults[0]


def test_a_part_of_a_package_name_is_not_trusted(good: dict[str, Any]) -> None:
    for target in ("seqexpert.Evil", "torch.optimizer_of_someone.X", "torch.hub.load"):
        assert list(find_faults(changed(good, "model", {"_target_": target})))


def test_constructors_defaults_are_filled_in(good: dict[str, Any]) -> None:
    bare = copy.deepcopy(good)
    bare["model"] = {"_target_": "seqexp.model.cnn1d.CNN1D"}
    completed = check(OmegaConf.create(bare))["model"]
    assert completed["filter_width"] == 17
    assert completed["hidden_layers"] == []


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Count, "an integer from 1 to 1000000000"),
        (Share, "a number from 0 to 1"),
        (OpenShare, "a number above 0 and below 1"),
        (Rate | None, "a number at least 0 and below 1 or null"),
        (list[int], "a list (an integer each)"),
        (bool, "true or false"),
    ],
)
def test_ranges_are_told_in_words(annotation: Any, words: str) -> None:
    assert describe(annotation) == words


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["dataset=text", "dataset.fold=2"], "dataset.fold is 2, but dataset.folds is null"),
        (["dataset=text", "dataset.folds=3", "dataset.fold=3"], "dataset.folds is 3; give a fold"),
        (["dataset=pairs", "dataset.folds=1"], "dataset.folds is 1; give an integer from 2"),
        (
            ["dataset=fasta", "dataset.folds=5", "dataset.test_names='^chr8:'"],
            "dataset.folds is 5 and dataset.test_names is .chr8:; both say what is held out",
        ),
        (
            ["dataset=frames", "dataset.folds=5", "dataset.test_groups=[a1]"],
            "dataset.folds is 5 and dataset.test_groups is .'a1'.; both say",
        ),
        (["dataset=fasta", "dataset.fold_by=group"], "dataset.fold_by is group, but dataset.folds"),
        (["dataset=noisy-reads", "dataset.folds=5"], "but view is reads; give view=clusters"),
        (["++dataset.folds=5", "++dataset.fold=1"], "dataset.folds: Motif has none: .*num_test"),
        (["dataset=chars", "++dataset.fold=1"], "dataset.fold: Chars has none: it is one text"),
        (["dataset=imdb", "++dataset.folds=5"], "dataset.folds: IMDB has none: its 25,000"),
    ],
)
def test_folds_that_do_not_fit_are_refused_in_words(overrides: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        check(composed(*overrides))
    if any("++" in one for one in overrides):
        assert len(caught.value.faults) == 1
