"""What a file is and how it will be cut into units, from its headers alone.

Planning before decoding lets one long video keep a whole cluster busy and tells the driver
how many units of an asset to wait for. The bytes are hashed here, where their store does not state a
digest of them, so that a file whose date changed but whose content did not costs no decoding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import BinaryIO

from operators import probe_document, probe_video
from operators.child_kinds import DECODER_MODULES
from operators.content import stated_etag, stated_hash
from operators.isolate import Bounds, shared_sandbox
from operators.retrying import with_retries
from operators.sniff import HEAD_BYTES, Sniffed, UnsupportedError, kind_by_name, sniff
from operators.source import local_path, open_source
from operators.stopwatch import Stopwatch
from operators.unit_id import perception_id, plan_id, recipes
from operators.unit_store import UnitStore
from schemas import ids
from schemas.config import Config, Limits
from schemas.failure import Failure, InputError, Reason, SkipReason, Stage
from schemas.listings import fingerprint
from schemas.media import Asset, Kind, Listing, Planned, Unit, UnitKind


class Probe:
    """Listing in, decode tasks out: one for each span of a video or few pages of a document."""

    def __init__(self, config: Config, store: UnitStore | None = None) -> None:
        """Keep the configuration and what is known already; nothing is started."""
        self.config = config
        self.store = store

    def __call__(self, listing: Listing) -> list[Planned]:
        """Plan one file. Never raises for what is in it: failures travel in the plan."""
        watch = Stopwatch()
        return self._timed(self._plan(self._listed(listing), listing), watch)

    def _listed(self, listing: Listing) -> Asset:
        """Say what is known of a file of which nothing has been read."""
        kind = kind_by_name(PurePosixPath(listing.uri).name)
        return Asset(
            asset_id=ids.asset_id(listing.uri),
            version=ids.version(f"unread:{fingerprint(listing)}", "", perception_id(self.config, kind)),
            uri=listing.uri,
            kind=kind,
            size_bytes=listing.size_bytes,
            fingerprint=fingerprint(listing),
            content_hash="",
            modified_ns=listing.modified_ns,
            etag=listing.etag,
            sidecars=listing.sidecars,
        )

    def headers(self, listing: Listing) -> Asset | None:
        """Say what the headers of a file tell, without hashing it; null when it cannot be read."""
        asset = self._listed(listing)
        try:
            self._check_size(listing)
            with self._open(listing.uri) as file:
                sniffed = sniff(file.read(HEAD_BYTES), PurePosixPath(listing.uri).name)
            asset = replace(asset, kind=str(sniffed.kind), container=sniffed.container)
            return self._plan_kind(asset, sniffed)[0].asset
        except (UnsupportedError, InputError, OSError):
            return None  # the run itself will say why

    def _timed(self, tasks: list[Planned], watch: Stopwatch) -> list[Planned]:
        spent = watch.read()
        first = replace(
            tasks[0],
            seconds=spent.seconds,
            cpu_seconds=spent.cpu_seconds,
            started_at=spent.started_at,
            fetched_bytes=spent.fetched_bytes,
        )
        return [first, *tasks[1:]]

    def _plan(self, asset: Asset, listing: Listing) -> list[Planned]:
        try:
            self._check_size(listing)
            if (known := self._known(asset, listing)) is not None:
                return known
            return with_retries(lambda: self._look(asset, listing))
        except UnsupportedError as unsupported:
            message = f"Not read by this version: {unsupported}."
            failure = Failure(Stage.PROBE, SkipReason.UNSUPPORTED, message)
            return [_nothing(asset, failure, SkipReason.UNSUPPORTED)]
        except InputError as broken:
            return [_nothing(asset, Failure(Stage.PROBE, broken.reason, broken.message))]
        except OSError as stopped:
            message = f"Reading {listing.uri} stopped: {stopped}. Run gloss retry when its store is well."
            return [_nothing(asset, Failure(Stage.PROBE, Reason.UNREADABLE, message))]

    def _known(self, asset: Asset, listing: Listing) -> list[Planned] | None:
        """Plan a file whose listing has not changed since it was planned: without reading it."""
        if self.store is None or listing.known_plan is None or listing.content_hash is None:
            return None
        return self._recall(asset, listing.content_hash, listing.known_plan)

    def _recall(self, asset: Asset, content: str, wanted: str) -> list[Planned] | None:
        """Plan a content as it was planned before, wherever it lay then."""
        plan = None if self.store is None else self.store.read_plan(content, wanted)
        if plan is None or plan.recipe != recipes(self.config).plan:
            return None
        before = plan.asset
        perception = perception_id(self.config, before.kind)
        found = replace(
            before,
            asset_id=asset.asset_id,
            version=ids.version(content, before.sidecar_hash, perception),
            uri=asset.uri,
            fingerprint=asset.fingerprint,
            modified_ns=asset.modified_ns,
            etag=asset.etag,
            sidecars=asset.sidecars,
        )
        if before.kind in (Kind.DOCUMENT, Kind.IMAGE):
            size = self.config.documents.pages_per_task
            groups = [plan.units[at : at + size] for at in range(0, len(plan.units), size)]
            return [Planned(found, group) for group in groups]
        return media_tasks(found, plan.units)

    def _look(self, asset: Asset, listing: Listing) -> list[Planned]:
        """Plan a file by its bytes."""
        content = listing.content_hash or stated_hash(listing, self.config.store.identity)
        with self._open(listing.uri, stated_etag(content or "")) as file:
            sniffed, error = self._sniff(file, listing)
            if content is None:
                file.seek(0)
                content = ids.content_hash(file)
        sidecars = self._hash_sidecars(listing)
        kind = asset.kind if sniffed is None else str(sniffed.kind)
        version = ids.version(content, sidecars, perception_id(self.config, kind))
        asset = replace(asset, content_hash=content, sidecar_hash=sidecars, kind=kind, version=version)
        if version == listing.known_version:
            return [_nothing(asset, skipped=SkipReason.UNCHANGED)]
        if sniffed is None:
            assert error is not None
            raise error
        asset = replace(asset, media_type=sniffed.media_type, container=sniffed.container)
        wanted = plan_id(content, sidecars, sniffed.container, self.config)
        return self._recall(asset, content, wanted) or self._plan_kind(asset, sniffed)

    def _open(self, uri: str, etag: str | None = None) -> BinaryIO:
        return open_source(uri, self.config.store.storage_options, etag)

    def _sniff(self, file: BinaryIO, listing: Listing) -> tuple[Sniffed | None, InputError | None]:
        """Decide the kind; a refusal is given back, because such a file has a version too."""
        try:
            return sniff(file.read(HEAD_BYTES), PurePosixPath(listing.uri).name), None
        except InputError as error:
            return None, error

    def _hash_sidecars(self, listing: Listing) -> str:
        """Digest all sidecars, with the names that their utterances will bear."""
        hashes = []
        for sidecar in listing.sidecars:
            with self._open(sidecar.uri) as file:
                name = PurePosixPath(sidecar.uri).name
                hashes.append(ids.digest(name, sidecar.language or "", ids.content_hash(file)))
        return ids.digest(*sorted(hashes)) if hashes else ""

    def _check_size(self, listing: Listing) -> None:
        if listing.size_bytes > self.config.limits.bytes:
            msg = f"The file has {listing.size_bytes} bytes; limits.bytes allows {self.config.limits.bytes}."
            raise InputError(Reason.TOO_LARGE, msg)

    def _plan_kind(self, asset: Asset, sniffed: Sniffed) -> list[Planned]:
        limits = self.config.limits
        sandbox = shared_sandbox(Bounds.of(limits), DECODER_MODULES)
        options = self.config.store.storage_options
        if sniffed.kind in (Kind.VIDEO, Kind.AUDIO):
            (media,) = sandbox.run(_probe_media, asset, sniffed.container, limits, options)
            return plan_media(asset, media, self.config)
        (facts,) = sandbox.run(_probe_document, asset, sniffed.kind, limits, options)
        asset = replace(
            asset,
            page_count=facts.page_count,
            width_px=facts.width_px,
            height_px=facts.height_px,
            title=facts.title,
            language=facts.language,
            unit_count=facts.page_count,
        )
        groups = probe_document.plan_pages(facts.page_count, self.config.documents.pages_per_task)
        first, *rest = [Planned(asset, units) for units in groups]
        return [replace(first, failures=facts.failures), *rest]


def plan_media(asset: Asset, media: probe_video.MediaFacts, config: Config) -> list[Planned]:
    """Cut a video or audio asset into units: its spans, then its subtitles if it has any."""
    units: list[Unit] = []
    if media.kind == Kind.VIDEO:
        units = probe_video.plan_spans(media.duration_seconds, span_seconds(media, config))
    if config.speech.subtitles and (media.has_subtitles or asset.sidecars):
        units.append(Unit(len(units), UnitKind.SUBTITLES))
    if config.speech.listens and media.audio_codec is not None:
        seconds = config.speech.span_seconds
        units += probe_video.plan_spans(media.duration_seconds, seconds, UnitKind.SPEECH, len(units))
    asset = replace(
        asset,
        kind=str(media.kind),
        duration_seconds=media.duration_seconds,
        width_px=media.width_px,
        height_px=media.height_px,
        video_codec=media.video_codec,
        audio_codec=media.audio_codec,
        frame_rate=media.frame_rate,
        title=media.title,
        language=media.language,
        unit_count=max(1, len(units)),
    )
    if not units:
        return [_nothing(asset)]
    return media_tasks(asset, units)


def media_tasks(asset: Asset, units: Sequence[Unit]) -> list[Planned]:
    """Make decode tasks of the units of a video or audio asset.

    Sound is one task: it is decoded in one go, because where it is cut depends on what came
    before. It comes first, because recognising it takes longest.
    """
    sound = [unit for unit in units if unit.kind == UnitKind.SPEECH]
    others = [Planned(asset, [unit]) for unit in units if unit.kind != UnitKind.SPEECH]
    return [Planned(asset, sound), *others] if sound else others


_SPAN_BYTES = 192 << 20
"""Most pixels one span may carry to its reader: a minute of 720p at a frame a second, half a
minute of 1080p. The row is copied some six times on its way through processes."""


def span_seconds(media: probe_video.MediaFacts, config: Config) -> float:
    """Decide the length of a video's spans: as configured, shorter where pictures are large."""
    sampling = config.sampling
    pixels = min((media.width_px or 1) * (media.height_px or 1), sampling.max_pixels)
    bytes_per_second = pixels * 3 / sampling.interval_seconds
    return min(sampling.span_seconds, max(sampling.interval_seconds, _SPAN_BYTES / bytes_per_second))


def _probe_media(
    asset: Asset, container: str, limits: Limits, options: dict[str, str]
) -> Iterator[probe_video.MediaFacts]:
    path = local_path(asset.uri)
    if path is not None:
        yield probe_video.probe_media(str(path), container, limits)
        return
    with open_source(asset.uri, options, stated_etag(asset.content_hash)) as file:
        yield probe_video.probe_media(file, container, limits)


def _probe_document(
    asset: Asset, kind: Kind, limits: Limits, options: dict[str, str]
) -> Iterator[probe_document.DocumentFacts]:
    probe = probe_document.probe_pdf if kind is Kind.DOCUMENT else probe_document.probe_image
    with open_source(asset.uri, options, stated_etag(asset.content_hash)) as file:
        yield probe(file, limits)


def _nothing(asset: Asset, failure: Failure | None = None, skipped: SkipReason | None = None) -> Planned:
    unit = Unit(0, UnitKind.NOTHING)
    failures = [] if failure is None else [failure]
    return Planned(replace(asset, unit_count=1), [unit], failures, None if skipped is None else str(skipped))
