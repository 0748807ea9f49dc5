"""Each rule of DESIGN section 4 is needed: with it switched off, a written scenario does harm.

The scenarios are written by hand, as short as they could be made; `broken` switches the rules off.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.core import broken, hash_scenarios, scenarios
from tests.core.scenarios import Cast

Scenario = Callable[[Cast], bool]

RULES: list[tuple[Scenario, Cast]] = [
    (scenarios.forked_process, Cast(world=broken.SharedNonce)),
    (scenarios.lost_memory, Cast(graph=broken.AbsentIsZero)),
    (scenarios.restored_store, Cast(graph=broken.AbsentIsZero)),
    (scenarios.partial_sync_after_lost_memory, Cast(client=broken.AdoptsPartial)),
    (scenarios.same_version_after_lost_memory, Cast(client=broken.IgnoresKnownOnReset)),
    (scenarios.first_full_sync_after_lost_memory, Cast(client=broken.AsksWithoutCursor)),
    (scenarios.same_version_on_two_servers, Cast(graph=broken.VersionBlind)),
    (scenarios.memory_full, Cast(graph=broken.Evicting)),
    (scenarios.renewed_with_a_slow_clock, Cast(graph=broken.RenewedLow)),
    (scenarios.removed_server, Cast(world=broken.NobodyRemoves)),
    (scenarios.hopping_between_strangers, Cast(graph=broken.ForeignForgotten)),
    (scenarios.first_page_lost, Cast(graph=broken.HastyMerge)),
    (scenarios.first_delta_lost, Cast(graph=broken.GapTolerated)),
    (scenarios.same_version_by_register, Cast(graph=broken.RegisterKeptHome)),
    (scenarios.boots_apart, Cast(graph=broken.RegisterKeptHome)),
    (hash_scenarios.hash_told_before_the_fetch, Cast(client=broken.TrustsToldHash)),
    (hash_scenarios.lost_memory_with_a_hash, Cast(client=broken.SkipsOnReset)),
    (hash_scenarios.lost_memory_with_a_hash_and_no_cursor, Cast(client=broken.SkipsWithoutCursor)),
    (hash_scenarios.hash_from_a_server_behind, Cast(client=broken.SkipsWhileDirty)),
    (hash_scenarios.hash_during_a_fetch, Cast(client=broken.SkipsWhileFetching)),
    (hash_scenarios.touch_without_a_hash, Cast(graph=broken.HashKept)),
    (hash_scenarios.hash_of_a_fast_clock, Cast(graph=broken.NewestHash)),
    (hash_scenarios.hash_that_seems_to_stay, Cast(graph=broken.EqualHashSuppressed)),
    (hash_scenarios.deletion, Cast(graph=broken.RecordDeleted)),
    (hash_scenarios.touch_during_a_fetch, Cast(client=broken.CleanedByEarlierFetch)),
    (hash_scenarios.restarted_client, Cast(client=broken.CursorSavedApart)),
    (hash_scenarios.touch_while_a_page_is_rendered, Cast(client=broken.PositionAfterData)),
]
_each_rule = pytest.mark.parametrize(
    ("scenario", "cast"), RULES, ids=[scenario.__name__ for scenario, _ in RULES]
)


@_each_rule
def test_the_rules_as_they_are_do_no_harm(scenario: Scenario, cast: Cast) -> None:
    """I1, I2, I8: with every rule in force nothing is lost, nothing loops, nobody differs."""
    assert not scenario(Cast())


@_each_rule
def test_a_rule_switched_off_does_harm(scenario: Scenario, cast: Cast) -> None:
    """I1, I2, I8: without one rule the same scenario loses a change or loops, or servers differ."""
    assert scenario(cast)


def test_the_digest_is_captured_before_the_keys() -> None:
    """I1: an origin that appears while an answer is made is a reset in the next."""
    assert not scenarios.origin_appears_during_an_answer(Cast(graph=broken.Interrupted))
    assert scenarios.origin_appears_during_an_answer(Cast(graph=broken.DigestLate))
