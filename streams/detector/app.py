"""The detector: reports → evidence → verdicts, as one Faust app with two agents."""

import faust
from faust.types import StreamT

from schemas.settings import Settings
from schemas.topics import (
    CALIBRATION,
    DOMAINS_CHANGELOG,
    EVIDENCE,
    HEALTH,
    NODE_REPORTS,
    ONSETS,
    VERDICTS,
    all_topics,
    dlq_of,
)
from streams.detector.judging import Judging
from streams.detector.observer import Observer
from streams.faust_app import make_app, run_worker, work_through

_TOPICS = (
    NODE_REPORTS,
    EVIDENCE,
    CALIBRATION,
    DOMAINS_CHANGELOG,
    ONSETS,
    VERDICTS,
    dlq_of(NODE_REPORTS),
    dlq_of(EVIDENCE),
    HEALTH,
)


def build(settings: Settings) -> faust.App:
    """The Faust app ``kbw-detector``."""
    app = make_app(settings, "detector")
    topics = all_topics()
    kafka = settings.kafka
    reports = app.topic(kafka.topic(NODE_REPORTS), partitions=topics[NODE_REPORTS].partitions)
    evidence = app.topic(kafka.topic(EVIDENCE), partitions=topics[EVIDENCE].partitions)
    domains = app.Table(
        "domains",
        key_type=bytes,
        value_type=bytes,
        partitions=topics[DOMAINS_CHANGELOG].partitions,
        changelog_topic=app.topic(
            kafka.topic(DOMAINS_CHANGELOG),
            key_type=bytes,
            value_type=bytes,
            partitions=topics[DOMAINS_CHANGELOG].partitions,
            compacting=True,
        ),
    )
    observer = Observer(app, settings, domains)
    judging = Judging(app, settings)
    batch, within_s = settings.detector.batch, settings.detector.within_s

    @app.agent(reports, name="observe", concurrency=1)
    async def observe(stream: StreamT[bytes]) -> None:
        await work_through(stream, batch, within_s, observer.take)

    @app.agent(evidence, name="judge", concurrency=1)
    async def judge(stream: StreamT[bytes]) -> None:
        await work_through(stream, batch, within_s / 2, judging.take)

    @app.on_rebalance_complete.connect
    async def rebuild(*_: object, **__: object) -> None:
        # The flow of records resumes only after this returns.
        observer.forget()
        name = kafka.topic(EVIDENCE)
        await judging.open(tp.partition for tp in app.consumer.assignment() if tp.topic == name)

    @app.on_partitions_revoked.connect
    async def close(*_: object, **__: object) -> None:
        judging.close()

    async def publish() -> None:
        await judging.publish_forever()

    async def follow() -> None:
        await judging.follow_calibrations()

    app.task(publish)
    app.task(follow)
    return app


def run(settings: Settings) -> int:
    """Run a detector worker until it is told to stop; returns the exit code."""
    return run_worker(build(settings), settings, ("observe", "judge"), _TOPICS)
