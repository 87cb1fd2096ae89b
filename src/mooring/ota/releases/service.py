"""Creating, signing, publishing and withdrawing releases of firmware."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mooring.audit import log as audit_log
from mooring.devices.store import ensure_tenant
from mooring.errors import Conflict, MooringError, NotFound
from mooring.identity.actor import Actor, Role
from mooring.ota.releases import checks, image, key_store, store
from mooring.ota.releases.files import Files, Incoming
from mooring.ota.releases.finding import release_of
from mooring.ota.releases.model import (
    Artifact,
    Checked,
    NewRelease,
    Release,
    Signature,
    State,
    Stored,
)
from mooring.ota.releases.states import Step, after
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms

__all__ = ["ARTIFACTS_MAX", "Releases"]

ARTIFACTS_MAX = 16
"""Files of one release."""

_STEPS = {
    Step.PUBLISH: "firmware.publish",
    Step.DEPRECATE: "firmware.deprecate",
    Step.RESTORE: "firmware.restore",
    Step.WITHDRAW: "firmware.withdraw",
}


@dataclass(frozen=True, slots=True)
class Releases:
    """Releases of one installation's tenants.

    Attributes:
        on_withdrawn: called with the number of a release in the transaction that withdraws it.
    """

    database: Database
    settings: Settings
    files: Files
    on_withdrawn: Callable[[Connection, int], Any] = lambda _connection, _number: None

    # ------------------------------------------------------------------ asking

    def get(self, actor: Actor, reference: str, *, tenant: str | None = None) -> Release:
        """A release by its number, or as ``product:version``.

        Raises:
            NotFound: ``release_not_found``.
            Conflict: ``ambiguous_release``.
        """
        with self.database.read() as connection:
            return release_of(connection, actor, reference, tenant)

    def page(
        self,
        actor: Actor,
        *,
        tenant: str | None = None,
        product: str | None = None,
        state: State | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Release]:
        """Releases, the newest first."""
        actor.require(Role.VIEWER, actor.tenant)
        with self.database.read() as connection:
            return store.page(
                connection,
                actor,
                tenant=tenant,
                product=product,
                state=state,
                before=before,
                limit=limit,
            )

    def running(self, actor: Actor, release: Release) -> int:
        """How many devices of its tenant run it: of firmware, those that report its version; of
        other kinds, those whose last update that was installed is one to it."""
        actor.require(Role.VIEWER, release.tenant)
        with self.database.read() as connection:
            return store.running(connection, release)

    def devices(
        self, actor: Actor, release: Release, *, after: int = 0, limit: int = 50
    ) -> list[tuple[int, str]]:
        """The devices that ``running`` counts: number and name, in the order of their numbers."""
        actor.require(Role.VIEWER, release.tenant)
        with self.database.read() as connection:
            return store.devices_running(connection, release, after=after, limit=limit)

    def artifact(self, release: Release, name: str) -> Artifact:
        """One of its files; the only one, if ``name`` is empty.

        Raises:
            NotFound: ``artifact_not_found``.
        """
        found = [one for one in release.artifacts if name in ("", one.name)]
        if len(found) == 1:
            return found[0]
        names = ", ".join(one.name for one in release.artifacts)
        raise NotFound(
            f"{release.reference} has no file {name}."
            if name
            else f"{release.reference} has {len(release.artifacts)} files.",
            hint=f"Name one of: {names}." if names else "Upload a file first.",
            code="artifact_not_found",
        )

    def verify(
        self, actor: Actor, release: Release, progress: Callable[[int], None] | None = None
    ) -> list[Checked]:
        """Reads every file again, and checks its signatures.

        Args:
            progress: is given the bytes of each piece that was read.
        """
        actor.require(Role.VIEWER, release.tenant)
        with self.database.read() as connection:
            keys = key_store.keys_of(connection, release.tenant)
        done = []
        for one in release.artifacts:
            signers, problems = checks.signers(release, one, keys)
            whole = self.files.is_whole(one.sha256, progress)
            done.append(Checked(one, whole, tuple(signers), tuple(problems)))
        return done

    # ------------------------------------------------------------------ changing

    def create(self, actor: Actor, new: NewRelease, *, reason: str = "") -> Release:
        """Creates a draft without files.

        Raises:
            Invalid: a name, version or list is not valid.
                Conflict: ``release_exists`` or ``limit_reached``.
        """
        new = checks.checked(new)
        actor.require(Role.OPERATOR, new.tenant)
        try:
            with self.database.write() as connection:
                ensure_tenant(connection, new.tenant, self.settings.tenants_max)
                number = store.insert(
                    connection,
                    new,
                    by=actor.name,
                    at=now_ms(),
                    most=self.settings.firmware_releases_max_per_tenant,
                )
                release = release_of(connection, actor, str(number))
                _audit(connection, actor, "firmware.create", release, reason=reason)
        except IntegrityError as exc:
            raise Conflict(
                f"{new.product} has a release {new.version} already.",
                hint="A version is used once, also if it is written otherwise (1.4 and 1.4.0) or "
                "was withdrawn. Choose another.",
                code="release_exists",
            ) from exc
        return release

    def add_file(
        self,
        actor: Actor,
        reference: str,
        name: str,
        incoming: Incoming,
        *,
        from_sha256: str = "",
        force: bool = False,
        reason: str = "",
    ) -> Release:
        """Adds a file, all of which has arrived, to a draft.

        Args:
            force: although the image contradicts the release; takes a reason.

        Raises:
            Invalid: the name is not valid; ``image_contradicts``; ``reason_needed``.
            NotFound: ``release_not_found``.
            Conflict: ``release_state``, ``artifact_exists``, ``limit_reached``.
            Unavailable: the disk is full.
        """
        checks.file_name(name)
        from_sha256 = checks.digest(from_sha256) if from_sha256 else ""
        stored = incoming.finish()
        try:
            with self.files.locked():
                release = self._add(
                    actor, reference, name, stored, from_sha256, force=force, reason=reason
                )
                incoming.confirm(stored)
        except MooringError:
            self._discard([stored.sha256])
            raise
        return release

    def drop_file(self, actor: Actor, reference: str, name: str, *, reason: str = "") -> Release:
        """Takes a file out of a draft.

        Raises:
            NotFound: ``release_not_found``, ``artifact_not_found``.
            Conflict: ``release_state``.
        """
        with self.database.write() as connection:
            release = self._draft(connection, actor, reference)
            dropped = self.artifact(release, name)
            store.drop_artifact(connection, dropped.id)
            _audit(connection, actor, "firmware.drop", release, reason=reason, what=f" {name}")
            release = release_of(connection, actor, str(release.id))
        self._discard([dropped.sha256])
        return release

    def sign(self, actor: Actor, reference: str, name: str, signature: Signature) -> Release:
        """Adds a signature that was made elsewhere.

        Raises:
            Invalid: ``signature_invalid``: of no trusted key, or not of this manifest.
            NotFound: ``release_not_found``, ``artifact_not_found``.
            Conflict: ``release_state``: it was withdrawn.
        """
        with self.database.write() as connection:
            release = release_of(connection, actor, reference, lock=True)
            actor.require(Role.OPERATOR, release.tenant)
            if release.state is State.WITHDRAWN:
                raise Conflict(
                    "A release that is withdrawn gets no more signatures.",
                    hint="Create a new release.",
                    code="release_state",
                    state=str(release.state),
                )
            artifact = self.artifact(release, name)
            keys = key_store.keys_of(connection, release.tenant)
            signer = checks.accepts(release, artifact, signature, keys)
            store.set_signature(connection, artifact.id, signature)
            _audit(
                connection,
                actor,
                "firmware.sign",
                release,
                reason="",
                what=f" {artifact.name} {signer}",
            )
            return release_of(connection, actor, str(release.id))

    def step(
        self,
        actor: Actor,
        reference: str,
        step: Step,
        *,
        unsigned: bool = False,
        reason: str = "",
    ) -> Release:
        """Publishes, deprecates, restores or withdraws a release.

        Args:
            unsigned: publish although somebody's signature is missing.

        Raises:
            NotFound: ``release_not_found``.
            Conflict: ``release_state``; ``release_empty``; ``release_unsigned``.
            Invalid: ``reason_needed`` to withdraw.
        """
        if step is Step.WITHDRAW and not reason.strip():
            raise checks.no_reason("Withdrawing a release")
        with self.database.write() as connection:
            release = release_of(connection, actor, reference, lock=True)
            actor.require(Role.OPERATOR, release.tenant)
            state = after(release.state, step)
            assert state is not None  # ``remove`` is another method
            if step is Step.PUBLISH:
                self._ready(connection, actor, release, unsigned=unsigned)
            ended = state in (State.DEPRECATED, State.WITHDRAWN)
            now = now_ms()
            store.change(
                connection,
                release.id,
                state=str(state),
                published_at=now if step is Step.PUBLISH else release.published_at,
                ended_at=now if ended else None,
                reason=reason or release.reason,
            )
            if step is Step.WITHDRAW:
                self.on_withdrawn(connection, release.id)
            _audit(connection, actor, _STEPS[step], release, reason=reason)
            return release_of(connection, actor, str(release.id))

    def remove(self, actor: Actor, reference: str, *, reason: str = "") -> Release:
        """Removes a draft.

        Raises:
            NotFound: ``release_not_found``.
            Conflict: ``release_state``.
        """
        with self.database.write() as connection:
            release = release_of(connection, actor, reference, lock=True)
            actor.require(Role.OPERATOR, release.tenant)
            after(release.state, Step.REMOVE)
            store.delete(connection, release.id)
            _audit(connection, actor, "firmware.remove", release, reason=reason)
        self._discard([one.sha256 for one in release.artifacts])
        return release

    # ------------------------------------------------------------------ inside

    def _add(
        self,
        actor: Actor,
        reference: str,
        name: str,
        stored: Stored,
        from_sha256: str,
        *,
        force: bool,
        reason: str,
    ) -> Release:
        """Writes the row of a file."""
        found = image.read(stored.head)
        try:
            with self.database.write() as connection:
                release = self._draft(connection, actor, reference)
                checks.fits(release, found, force=force, reason=reason)
                self._has_room(connection, release, stored.sha256, stored.size)
                said = "" if found is None else found.said
                store.add_artifact(
                    connection, release.id, stored, name=name, from_sha256=from_sha256, image=said
                )
                release = release_of(connection, actor, str(release.id))
                _audit(
                    connection, actor, "firmware.upload", release, reason=reason, what=f" {name}"
                )
        except IntegrityError as exc:
            raise Conflict(
                f"The release has a file {name} already.",
                hint="Remove it first, or give the new one another name.",
                code="artifact_exists",
            ) from exc
        return release

    def _discard(self, digests: Collection[str]) -> None:
        """Deletes files that have no row any more, unless another release has one."""

        def known(wanted: Collection[str]) -> set[str]:
            with self.database.read() as connection:
                return store.known_files(connection, wanted)

        self.files.discard(digests, known)

    def _draft(self, connection: Connection, actor: Actor, reference: str) -> Release:
        release = release_of(connection, actor, reference, lock=True)
        actor.require(Role.OPERATOR, release.tenant)
        if release.state is not State.DRAFT:
            raise Conflict(
                f"{release.reference} is {release.state}: its files do not change any more.",
                hint="Create a new release.",
                code="release_state",
                state=str(release.state),
            )
        return release

    def _has_room(self, connection: Connection, release: Release, sha256: str, size: int) -> None:
        if len(release.artifacts) >= ARTIFACTS_MAX:
            raise Conflict(f"A release has at most {ARTIFACTS_MAX} files.", code="limit_reached")
        if any(one.sha256 == sha256 for one in release.artifacts):
            return
        most = self.settings.firmware_bytes_per_tenant
        used = store.bytes_of_tenant(connection, release.tenant)
        if used + size > most:
            raise Conflict(
                f"The tenant {release.tenant} has {used:,} bytes of firmware; {size:,} more would "
                f"exceed {most:,}.",
                hint="Remove drafts, or raise the setting firmware_bytes_per_tenant.",
                code="limit_reached",
                limit="firmware_bytes_per_tenant",
                most=most,
            )

    def _ready(
        self, connection: Connection, actor: Actor, release: Release, *, unsigned: bool
    ) -> None:
        """Whether a draft can be published."""
        if not release.artifacts:
            raise Conflict(
                f"{release.reference} has no file.",
                hint="Upload one with `mooring firmware upload`.",
                code="release_empty",
            )
        keys = key_store.keys_of(connection, release.tenant)
        missing = [
            one.name for one in release.artifacts if not checks.signers(release, one, keys)[0]
        ]
        if not missing:
            return
        if unsigned and self.settings.firmware_signatures == "optional":
            actor.require(Role.ADMIN, release.tenant)
            return
        raise Conflict(
            f"{', '.join(missing)}: no trusted key has signed it.",
            hint="Sign it with `mooring firmware sign`. Without a signature it takes the setting "
            'firmware_signatures = "optional" and the option --unsigned.',
            code="release_unsigned",
        )


def _audit(
    connection: Connection,
    actor: Actor,
    action: str,
    release: Release,
    *,
    reason: str,
    what: str = "",
) -> None:
    audit_log.record(
        connection,
        actor,
        action,
        f"{release.reference}{what}",
        tenant=release.tenant,
        reason=reason,
    )
