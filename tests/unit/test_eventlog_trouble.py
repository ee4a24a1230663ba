"""What Windows does to a reader of its event log: handles, channels, queries that fail."""

import pytest

from collectors.settings import LogSettings
from collectors.sources.eventlog import EventLogSource
from collectors.sources.selection import Subscription
from collectors.windows.api import Fault
from schemas.errors import KbwatchError
from tests.fixtures.log_node import CLUSTER, DAY_S, SYSTEM, Node, ids, lost, started


class TestMissing:
    """What nodes are judged by and can't be read must not look well."""

    def failing(self, fault: Fault, subscription: Subscription, reads: int = 1) -> EventLogSource:
        node = Node(SYSTEM, subscription)
        node.api.channel(subscription.channel)
        node.start()
        node.read_all()
        node.api.let_die()
        node.api.fail_subscribe = [fault] * 20
        for _ in range(reads):
            node.read()
            node.clock.advance(61)
        return node.source

    @pytest.mark.parametrize("fault", [Fault.ACCESS_DENIED, Fault.CHANNEL_NOT_FOUND])
    def test_a_channel_that_must_be_there_and_cannot_be_read(self, fault: Fault) -> None:
        node = Node()
        node.api.fail_subscribe = [fault] * 20
        node.start()
        node.read()
        assert node.source.misses
        assert node.source.channels()["System"].lag_s == 120 * DAY_S

    def test_one_that_was_read_once_falls_behind(self) -> None:
        source = self.failing(Fault.ACCESS_DENIED, SYSTEM, reads=3)
        assert source.misses
        assert source.channels()["System"].lag_s >= 120

    def test_one_that_was_read_before_a_restart_falls_behind_from_there(self) -> None:
        node = started()
        node.logs(3)
        node.read_all()
        node.clock.advance(500)
        node.api.fail_subscribe = [Fault.ACCESS_DENIED]
        node.start()
        assert 500 <= node.source.channels()["System"].lag_s < 600

    def test_one_that_cannot_be_read_for_a_moment_is_not_missing(self) -> None:
        assert not self.failing(Fault.STALE, SYSTEM).misses
        assert self.failing(Fault.STALE, SYSTEM, reads=6).misses

    def test_one_that_is_disabled_is(self) -> None:
        node = Node()
        node.api.channel().enabled = False
        node.start()
        node.read()
        assert node.source.misses

    def test_one_that_most_machines_do_not_have_is_not(self) -> None:
        node = started(SYSTEM, CLUSTER)
        node.read_all()
        assert not node.source.misses
        assert CLUSTER.channel not in node.source.channels()


class TestTrouble:
    def test_a_handle_that_goes_stale_is_renewed_without_loss(self) -> None:
        node = started()
        node.logs(3)
        node.read_all()
        node.api.let_die()
        node.logs(2)
        assert ids(node.read_all()) == [4, 5]
        assert node.source.trouble == ""
        assert len(node.api.open) == 1

    def test_it_is_tried_less_and_less_often(self) -> None:
        node = started()
        node.api.fail_next = [Fault.UNAVAILABLE] * 1_000
        began = node.api.subscribed
        for _ in range(1_200):
            node.read()
            node.clock.advance(0.5)
        assert 10 <= node.api.subscribed - began <= 30
        assert "System: the event log service does not answer" in node.source.trouble
        node.api.fail_next = []
        node.logs(1)
        node.clock.advance(60)
        assert ids(node.read_all()) == [1]
        assert node.source.trouble == ""

    def test_too_much_for_one_call_is_asked_for_in_smaller_parts(self) -> None:
        node = started()
        node.read_all()
        node.logs(60)
        node.api.fail_next = [Fault.TOO_LARGE] * 2
        assert node.read() == node.read() == []
        node.clock.advance(1)
        assert ids(node.read_all()) == list(range(1, 61))
        assert 25 in node.api.limits

    def test_an_invalid_operation_is_a_drained_log(self) -> None:
        node = started()
        node.api.fail_next = [Fault.INVALID_OPERATION]
        assert ids(node.read()) == []
        assert node.source.trouble == ""
        node.logs(1)
        assert ids(node.read_all()) == [1]
        assert node.api.subscribed == 1

    def test_unless_the_log_grows_for_a_minute(self) -> None:
        node = started()
        node.read_all()
        for _ in range(2):
            node.api.fail_next = [Fault.INVALID_OPERATION]
            node.clock.advance(31)
            node.logs(1)
            node.read()
        assert ids(node.read_all()) == [1, 2]
        assert node.api.subscribed == 2

    def test_a_subscription_that_is_silent_while_its_log_grows_is_renewed(self) -> None:
        node = started()
        node.read_all()
        node.api.matches = lambda xml: False
        node.logs(5)
        for _ in range(30):
            node.clock.advance(30)
            node.read()
        assert node.api.subscribed == 1
        node.api.matches = lambda xml: True
        node.clock.advance(30)
        assert ids(node.read_all()) == [1, 2, 3, 4, 5]
        assert node.api.subscribed == 2

    def test_a_missing_channel_is_no_trouble_if_most_machines_lack_it(self) -> None:
        node = started(SYSTEM, CLUSTER)
        node.logs(1)
        assert ids(node.read_all()) == [1]
        assert node.source.trouble == ""
        assert set(node.source.channels()) == {"System"}

    def test_one_that_was_asked_for_is(self) -> None:
        node = Node(SYSTEM)
        node.api.logs.clear()
        node.start()
        node.read()
        assert "System: no such channel" in node.source.trouble
        assert not node.source.delivers

    def test_what_is_wrong_reads_alike_as_long_as_it_lasts(self) -> None:
        node = Node(SYSTEM)
        node.api.logs.clear()
        node.start()
        node.read()
        before = node.source.trouble
        node.clock.advance(17)
        node.read()
        assert node.source.trouble == before

    def test_one_channel_that_can_be_read_is_something_delivered(self) -> None:
        node = Node(SYSTEM, CLUSTER)
        node.api.logs.clear()
        node.api.channel(CLUSTER.channel)
        node.start()
        node.read()
        assert "System: no such channel" in node.source.trouble
        assert node.source.delivers

    def test_a_channel_that_appears_later_is_read_within_five_minutes(self) -> None:
        node = started(SYSTEM, CLUSTER)
        node.read_all()
        node.api.channel(CLUSTER.channel)
        node.logs(2, CLUSTER.channel)
        assert node.read_all() == []
        node.clock.advance(300)
        assert ids(node.read_all()) == [1, 2]

    def test_a_disabled_channel_is_said(self) -> None:
        node = Node()
        node.api.channel().enabled = False
        node.start()
        node.read()
        assert "disabled" in node.source.trouble

    def test_an_xpath_of_ones_own_that_windows_refuses_is_an_error(self) -> None:
        node = Node(logs=LogSettings(xpath={"system": "*[System[Nonsense]]"}))
        node.api.fail_subscribe = [Fault.INVALID_QUERY]
        with pytest.raises(KbwatchError, match=r"logs\.xpath of 'System': Windows refuses"):
            node.start()

    def test_a_query_of_ours_that_windows_refuses_stops_no_other_channel(self) -> None:
        node = Node(CLUSTER, SYSTEM)
        node.api.channel(CLUSTER.channel)
        node.api.fail_subscribe = [Fault.INVALID_QUERY]
        node.start()
        node.logs(1)
        assert ids(node.read_all()) == [1]
        assert "refuses the query" in node.source.trouble

    @pytest.mark.parametrize("fault", [Fault.BOOKMARK_INVALID, Fault.BOOKMARK_NOT_FOUND])
    def test_a_bookmark_that_windows_rejects_costs_nothing(self, fault: Fault) -> None:
        node = started()
        node.logs(5)
        node.read_all()
        node.logs(2)
        node.api.fail_subscribe = [fault]
        node.start()
        items = node.read_all()
        assert (ids(items), lost(items)) == ([6, 7], 0)

    @pytest.mark.parametrize(
        "position", ["", "{", "[]", '{"System": 3}', '{"System": {"t_ms": -1}}']
    )
    def test_a_position_that_is_none_is_a_first_start(self, position: str) -> None:
        node = Node()
        node.position = position
        node.logs(2)
        node.start()
        assert ids(node.read_all()) == [1, 2]

    def test_what_is_kept_of_a_channel_survives_its_absence_from_the_settings(self) -> None:
        node = started(SYSTEM, CLUSTER)
        node.api.channel(CLUSTER.channel)
        node.start()
        node.logs(2, CLUSTER.channel)
        node.read_all()
        node.subscriptions = (SYSTEM,)
        node.start()
        node.logs(1)
        node.read_all()
        node.subscriptions = (SYSTEM, CLUSTER)
        node.start()
        assert ids(node.read_all()) == []
