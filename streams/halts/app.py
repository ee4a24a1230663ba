"""``kbwatch run halts``: the Faust app that turns verdicts into halts and delivers them."""

import faust
import structlog
from faust.types import StreamT

from schemas.settings import Settings
from schemas.topics import HALT_DELIVERIES, HALTS, HEALTH, VERDICTS, dlq_of
from streams.dlq import DeadLetters
from streams.faust_app import make_app, run_worker, work_through
from streams.halts.agents import Decider
from streams.halts.book import Book
from streams.halts.dispatcher import Dispatcher
from streams.halts.outbox import Outbox
from streams.halts.policy import Policy, load_policy

_log = structlog.get_logger(__name__)

_NAME = "halts"
_BATCH = 100
_WITHIN_S = 0.05
_AGENTS = ("decide_halts",)
_TOPICS = (VERDICTS, dlq_of(VERDICTS), HALTS, HALT_DELIVERIES, HEALTH)


def run(settings: Settings) -> int:
    """Run the halts worker until SIGINT or SIGTERM; returns the exit code.

    Raises KbwatchError when the policy, the data folder or the broker is not as it should be.
    """
    policy = load_policy(settings.halts.policy)
    return run_worker(make(settings, policy), settings, _AGENTS, _TOPICS)


def make(settings: Settings, policy: Policy) -> faust.App:
    """The app with its agent, its delivery task and its rebuild after a rebalance."""
    app = make_app(settings, _NAME)
    book = Book()
    outbox = Outbox(app, settings.kafka, book)
    dispatcher = Dispatcher(book, outbox, policy.targets)
    letters = DeadLetters(app, settings.kafka, _NAME, VERDICTS)
    decider = Decider(policy, book, outbox, dispatcher, letters)
    verdicts_topic = settings.kafka.topic(VERDICTS)
    verdicts = app.topic(verdicts_topic, key_type=bytes, value_type=bytes)

    @app.agent(verdicts)
    async def decide_halts(stream: StreamT[bytes]) -> None:
        await work_through(stream, _BATCH, _WITHIN_S, decider.take)

    async def deliver() -> None:
        _log.info(
            "halt policy",
            mode=policy.mode,
            targets=[target.name for target in policy.targets],
            accepts_unsigned=policy.accepts_unsigned,
            accepts_default_calibration=policy.accepts_default_calibration,
        )
        await dispatcher.run()

    async def revoked(*_: object, **__: object) -> None:
        await decider.close()

    async def assigned(*_: object, **__: object) -> None:
        # Faust lets the flow of events go on only when this has returned.
        await decider.open(
            {tp.partition for tp in app.consumer.assignment() if tp.topic == verdicts_topic}
        )

    app.task(deliver)
    app.on_partitions_revoked.connect(revoked)
    app.on_rebalance_complete.connect(assigned)
    return app
