"""ingest.sources: what a worker refuses before it starts."""

import pytest

from schemas.errors import KbwatchError
from schemas.formats import FORMATS
from schemas.settings import IngestSettings, IngestSource, KafkaSettings, Settings
from streams.ingest.app import sources_of


def settings(*sources: IngestSource) -> Settings:
    return Settings(
        kafka=KafkaSettings(namespace="x-"), ingest=IngestSettings(sources=tuple(sources))
    )


def test_each_topic_is_read_by_its_format_for_its_fleet() -> None:
    found = sources_of(
        settings(IngestSource("wlb", "winlogbeat"), IngestSource("vec", "vector", "emea"))
    )
    assert {name: (one.read, one.fleet) for name, one in found.items()} == {
        "wlb": (FORMATS["winlogbeat"], "default"),
        "vec": (FORMATS["vector"], "emea"),
    }


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        ((), "ingest.sources is empty: name the topics that shippers fill"),
        (
            (IngestSource("wlb", "winlogbeet"),),
            "ingest.sources[0].format: no format 'winlogbeet'; there are: evtx-dump, fluentbit",
        ),
        (
            (IngestSource("a", "vector"), IngestSource("a", "nxlog")),
            "ingest.sources[1].topic: a is named before",
        ),
        (
            (IngestSource("x-kbw-node-reports", "vector"),),
            "ingest.sources[0].topic: x-kbw-node-reports is kbwatch's own",
        ),
    ],
)
def test_what_cannot_be_is_said(sources: tuple[IngestSource, ...], says: str) -> None:
    with pytest.raises(KbwatchError) as caught:
        sources_of(settings(*sources))
    assert str(caught.value).startswith(says)
