"""Every text column has somebody who bounds it."""

from __future__ import annotations

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from mooring.store.schema import metadata
from mooring.store.schema.base import Shown, ShownText, shown

# table.column → who sees to it that every value fits, on PostgreSQL as well.
CHECKED = {
    "words of the program": """
        device_keys.algorithm
        broker_changes.action broker_requests.action broker_requests.state api_keys.role users.role
        audit.action broker_events.event rotations.phase certificates.reason
        channels.kind counters.name leases.name leases.holder processes.name processes.role
        processes.host processes.detail versions.name dead_letters.reason retention.kind
        clocks.trust rotations.id broker_requests.argument broker_requests.result
        downlinks.state downlinks.until downlinks.origin downlinks.dedupe downlinks.open_key
        device_attributes.source
        commands.state commands.delivery commands.done_when commands.evidence
        device_settings.state device_settings_levels.level
        presence.state presence.record presence_changes.state
        jobs.kind jobs.state jobs.waves job_targets.state job_targets.counted job_targets.cause
        job_targets.reference
        firmware_rollouts.kind firmware_latest.kind firmware_latest.ended_why
        firmware_releases.kind firmware_releases.state firmware_signatures.algorithm
        firmware_keys.algorithm firmware_keys.state
        firmware_updates.kind firmware_updates.state firmware_updates.seen firmware_updates.code
        firmware_updates.way
        firmware_updates.history
        presence_marks.name alerts.key alerts.source alerts.state alert_history.event
        recipients.kind notification_items.state notifications.state
    """,
    "made by the program": """
        device_keys.key device_keys.pem api_keys.scopes
        users.password_hash api_keys.prefix api_keys.digest broker_users.verifier
        credentials.verifier credentials.mark former_verifiers.verifier rotations.old_verifier
        rotations.new_verifier claim_codes.digest certificates.serial certificates.fingerprint
        device_state.firmware_key
        certificates.authority certificates.key_type certificates.pem sightings.authority
        discovery_decisions.state discovery_rules.action discovery_rules.digest
        sequences.above ingest_ledger.client_id ingest_attempts.client_id devices.mac_key
        clocks.boot sessions.token_id commands.session jobs.what jobs.request_key
        device_settings.document device_settings.reported device_settings_history.document
        device_settings_levels.document device_settings_levels.guard_document
        rule_states.record notification_items.group_key notifications.message_id
        notifications.body recipients.options
        rule_states.record firmware_releases.version_key firmware_artifacts.sha256
        firmware_artifacts.sha1 firmware_artifacts.md5 firmware_signatures.key
        firmware_signatures.value firmware_keys.key firmware_keys.pem firmware_links.verifier
        firmware_latest.verifier firmware_latest.dialects firmware_updates.install_in
    """,
    "mooring.dialects.ids.check_word and names made of such words": """
        tenants.name devices.tenant devices.name devices.scope devices.dialect devices.username
        devices.client_id devices.mac claim_codes.tenant claim_codes.dialect claim_codes.name
        device_groups.group_name broker_changes.username former_verifiers.username
        former_verifiers.tenant
        certificates.username sightings.username dead_letters.tenant users.tenant api_keys.tenant
        audit.tenant retention.tenant channels.dialect channels.name
        leftovers.name leftovers.client_id leftovers.client_ids leftovers.scope leftovers.filters
        commands.tenant commands.channel jobs.tenant firmware_rollouts.tenant
        leftovers.username tenant_limits.tenant downlinks.tenant desired.tenant
        ingest_filters.filter ingest_filters.client_id device_attributes.tenant
        device_settings_levels.tenant device_settings_levels.name
        discovery_rules.tenant discovery_rules.dialect discovery_rules.pattern
        firmware_releases.tenant firmware_releases.product firmware_keys.tenant
        firmware_keys.name firmware_updates.tenant firmware_updates.device
        tenant_usage.tenant tenant_usage_days.tenant tenant_dead_letters.tenant
        removed_devices.tenant
        groups.tenant groups.name device_groups.tenant alerts.tenant rules.tenant
        recipients.tenant
    """,
    "mooring.oidc": """
        users.issuer users.subject
    """,
    "mooring.devices.attributes": """
        device_attributes.name device_attributes.key device_attributes.value claim_codes.attributes
        groups.query
    """,
    "the service that takes it": """
        downlinks.topic desired.topic firmware_latest.topic commands.uid commands.name
        commands.parameters
        commands.topic commands.result device_settings.topic device_settings_levels.schema
        jobs.selection devices.label broker_users.username broker_users.note broker_users.publish
        broker_users.subscribe users.name api_keys.name saved_views.name saved_views.query
        claim_codes.label claim_codes.groups
        claim_codes.hardware_id rules.name rules.definition recipients.name
    """,
    "mooring.ota.releases.checks": """
        firmware_releases.version firmware_releases.hardware firmware_releases.requires
        firmware_updates.version
        firmware_artifacts.name firmware_artifacts.from_sha256
    """,
    "ingest": """
        messages.payload latest.payload device_state.firmware device_state.metadata
        firmware_changes.version
        dead_letters.topic strangers.dialect strangers.tenant strangers.name strangers.last_topic
        metrics.name metrics_refused.example
        discovery_decisions.dialect discovery_decisions.tenant discovery_decisions.name
        discovery_decisions.key
    """,
}


def texts() -> dict[str, sa.types.TypeEngine[object]]:
    return {
        f"{table.name}.{column.name}": column.type
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, sa.String | sa.Text | Shown | ShownText)
    }


def test_every_text_column_is_bounded_by_its_type_or_by_somebody_named() -> None:
    """A new column that holds words from outside is ``Shown``, or checked by whom?"""
    named = {word for words in CHECKED.values() for word in words.split()}
    found = texts()
    bounded = {name for name, kind in found.items() if isinstance(kind, Shown | ShownText)}
    assert len(bounded) > 10
    assert set(found) - bounded - named == set()
    assert named - set(found) == set(), "gone, or bounded by its type"


@given(st.text(st.characters(), max_size=400), st.integers(1, 300))
def test_what_is_shown_fits_and_is_unchanged_where_it_can_be(text: str, most: int) -> None:
    cut = shown(text, most)
    assert len(cut) <= most
    assert "\0" not in cut
    cut.encode()
    if len(text) <= most and text.isprintable():
        assert cut == text
    elif len(text) > most:
        assert cut.endswith("…")
