"""Settings: file < environment < command line; what is wrong is named with its source."""

from pathlib import Path

import pytest

from schemas.config import as_toml
from schemas.errors import KbwatchError
from schemas.settings import IngestSource, Settings, load

FILE = """\
log_level = "debug"
[kafka]
bootstrap = "file:9092"
namespace = "file-"
[detector]
batch = 7
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "kbwatch.toml"
    path.write_text(FILE)
    return str(path)


def refused(config: str | None = None, *overrides: str, **environ: str) -> str:
    with pytest.raises(KbwatchError) as caught:
        load(config, overrides, environ)
    return str(caught.value)


def test_without_anything_the_defaults_hold() -> None:
    assert load(environ={}) == Settings()


def test_the_command_line_wins_over_the_environment_over_the_file(file: str) -> None:
    environ = {"KBW_KAFKA_BOOTSTRAP": "env:9092", "KBW_KAFKA_NAMESPACE": "env-"}
    settings = load(file, ["kafka.bootstrap=line:9092"], environ)
    assert settings.kafka.bootstrap == "line:9092"
    assert settings.kafka.namespace == "env-"
    assert (settings.detector.batch, settings.log_level) == (7, "debug")


def test_the_file_may_be_named_by_the_environment_and_overruled_by_the_option(
    file: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text("metrics_port = 9100")
    assert load(environ={"KBW_CONFIG": file}).detector.batch == 7
    assert load(str(other), environ={"KBW_CONFIG": file}) == Settings(metrics_port=9100)


def test_a_file_may_begin_with_the_mark_that_windows_editors_write(tmp_path: Path) -> None:
    marked = tmp_path / "kbwatch.toml"
    marked.write_bytes('data_dir = "/var/kbwätch"'.encode("utf-8-sig"))
    assert load(str(marked), environ={}).data_dir == "/var/kbwätch"


def test_strings_become_what_the_setting_is() -> None:
    environ = {"KBW_DETECTOR_BATCH": "5", "KBW_DETECTOR_WITHIN_S": "0.5", "KBW_DATA_DIR": "/var/k"}
    settings = load(environ=environ)
    assert (settings.detector.batch, settings.detector.within_s) == (5, 0.5)
    assert settings.data_dir == "/var/k"


def test_the_last_of_two_overrides_holds_and_values_may_contain_equals_signs() -> None:
    settings = load(None, ["kafka.bootstrap=a", " kafka.bootstrap = b=c "], {})
    assert settings.kafka.bootstrap == "b=c"


def test_other_programs_variables_are_left_alone() -> None:
    assert load(environ={"KAFKA_BOOTSTRAP": "x", "kbw_kafka_bootstrap": "y"}) == Settings()


def test_what_is_printed_is_a_file_that_gives_the_same_again(tmp_path: Path) -> None:
    settings = load(None, ["kafka.namespace=x-", "detector.batch=3", "log_format=json"], {})
    path = tmp_path / "printed.toml"
    path.write_text(as_toml(settings))
    assert load(str(path), environ={}) == settings


def test_topics_bear_the_namespace() -> None:
    assert load(None, ["kafka.namespace=x-"], {}).kafka.topic("kbw-halts") == "x-kbw-halts"


class TestLists:
    SOURCE = IngestSource(topic="wlb", format="winlogbeat", fleet="emea")
    AS_JSON = '[{"topic": "wlb", "format": "winlogbeat", "fleet": "emea"}]'

    def test_a_file_has_them_as_tables(self, tmp_path: Path) -> None:
        path = tmp_path / "kbwatch.toml"
        path.write_text(
            '[[ingest.sources]]\ntopic = "wlb"\nformat = "winlogbeat"\nfleet = "emea"\n'
        )
        assert load(str(path), environ={}).ingest.sources == (self.SOURCE,)

    def test_elsewhere_they_are_json(self) -> None:
        by_variable = load(environ={"KBW_INGEST_SOURCES": self.AS_JSON})
        by_option = load(None, [f"ingest.sources={self.AS_JSON}"], {})
        assert by_variable.ingest.sources == by_option.ingest.sources == (self.SOURCE,)

    def test_an_address_that_begins_like_a_list_is_text(self) -> None:
        settings = load(None, ["kafka.bootstrap=[::1]:9092"], {})
        assert settings.kafka.bootstrap == "[::1]:9092"

    def test_what_is_printed_gives_the_same_list_again(self, tmp_path: Path) -> None:
        settings = load(None, [f"ingest.sources={self.AS_JSON}"], {})
        path = tmp_path / "printed.toml"
        path.write_text(as_toml(settings))
        assert load(str(path), environ={}) == settings

    @pytest.mark.parametrize(
        ("value", "says"),
        [
            ("wlb", "Expected a list, as JSON: [ … ] - at `$.ingest.sources`"),
            ('[{"topic": "wlb"}]', "missing required field `format` - at `$.ingest.sources[0]`"),
            ('[{"topic": "a b", "format": "x"}]', "1 to 249 letters, digits, '_', '.' or '-'"),
            (
                '[{"topik": "wlb", "topic": "wlb", "format": "x"}]',
                "ingest.sources has: topic, format, fleet",
            ),
        ],
    )
    def test_errors_name_the_item(self, value: str, says: str) -> None:
        assert says in refused(None, f"ingest.sources={value}")
        assert says in refused(KBW_INGEST_SOURCES=value)

    def test_one_item_of_a_list_cannot_be_set(self, tmp_path: Path) -> None:
        path = tmp_path / "kbwatch.toml"
        path.write_text('[[ingest.sources]]\ntopic = "wlb"\nformat = "winlogbeat"\n')
        said = refused(str(path), "ingest.sources.0.topic=other")
        assert said.endswith("ingest.sources is no section; set it as a whole")


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("[kafka]\nbootstrp = 'x'", "bootstrp"),
            ("kafak = 1", "kafak"),
            ("[detector]\nbatch = 'many'", "$.detector.batch"),
            ("[detector]\nbatch = 0", "$.detector.batch"),
            ("log_level = 'loud'", "$.log_level"),
            ("kafka = 'broker:9092'", "$.kafka"),
            ("metrics_port = 70000", "$.metrics_port"),
        ],
    )
    def test_of_the_file_name_file_and_setting(self, tmp_path: Path, text: str, says: str) -> None:
        path = tmp_path / "bad.toml"
        path.write_text(text)
        message = refused(str(path))
        assert message.startswith(str(path))
        assert says in message

    @pytest.mark.parametrize(
        ("override", "says"),
        [
            ("log_level=loud", 'choose from: "debug", "info", "warning", "error"'),
            ("metrics_port=70000", "Expected a whole number of at most 65535"),
            ("detector.batch=0", "Expected a whole number of at least 1"),
            ("detector.within_s=0", "Expected a number greater than 0"),
        ],
    )
    def test_they_say_what_would_be_right(self, override: str, says: str) -> None:
        assert says in refused(None, override)

    def test_of_the_environment_name_the_variable(self) -> None:
        assert "environment variable KBW_DETECTOR_BATCH" in refused(KBW_DETECTOR_BATCH="many")
        unknown = refused(KBW_KAFKA_BOOTSTRP="x")
        assert "environment variable KBW_KAFKA_BOOTSTRP" in unknown
        assert "bootstrp" in unknown

    @pytest.mark.parametrize(
        "override", ["detector.batch=x", "detector.bach=1", "nothing=1", "kafka=1", "log_level.a=1"]
    )
    def test_of_the_command_line_name_the_option(self, override: str) -> None:
        assert refused(None, override).startswith(f"--set {override}: ")

    def test_a_value_of_the_file_is_no_section_of_the_command_line(self, file: str) -> None:
        assert refused(file, "log_level.a=1").endswith("log_level is no section; set it as a whole")

    def test_an_override_without_a_value_says_how_to_write_it(self) -> None:
        assert refused(None, "detector.batch") == (
            "--set detector.batch: write it as section.name=value"
        )

    def test_a_file_that_is_not_there_or_not_toml(self, tmp_path: Path) -> None:
        missing = tmp_path / "missing.toml"
        assert str(missing) in refused(str(missing))
        broken = tmp_path / "broken.toml"
        broken.write_bytes(b"\xff = [")
        assert f"{broken}: not TOML" in refused(str(broken))
        broken.write_text("a = [")
        assert f"{broken}: not TOML" in refused(str(broken))

    @pytest.mark.parametrize("name", ["bad name", "x|y", "x-\n"])
    def test_a_namespace_is_part_of_topic_names(self, name: str) -> None:
        assert "$.kafka.namespace" in refused(KBW_KAFKA_NAMESPACE=name)

    def test_an_unknown_name_tells_which_there_are(self) -> None:
        assert refused(None, "sink.bach=1").endswith("sink has: batch, batch_bytes, within_s")
        assert "the top level has: data_dir, " in refused(None, "bach=1")

    @pytest.mark.parametrize("name", ["", "a b", "a\n"])
    def test_a_worker_has_a_name_and_it_is_said_in_words(self, name: str) -> None:
        message = refused(KBW_WORKER_ID=name)
        assert "one or more letters, digits, '_', '.' or '-' - at `$.worker_id`" in message
