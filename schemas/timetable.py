"""When something is due: a cron expression or a time of day, in a time zone.

Schedulers agree on five fields and not on much more: `L`, `#` and seconds are unknown to most, Kubernetes
refuses Sunday as 7, and whether days of the month and of the week are joined by *and* or *or* depends on
where a star stands. So an expression is taken apart here once, what schedulers would read differently is
refused, and each is given the same times in a form that it knows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from schemas.section import ConfigError

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_ALL = (set(range(60)), set(range(24)), set(range(1, 32)), set(range(1, 13)), set(range(7)))
"""Minutes, hours, days of the month, months, days of the week (0 is Sunday)."""
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Timetable:
    """Moments that come again and again."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    """Of the month."""
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday. With days of the month restricted as well, either is enough, as in cron."""
    zone: str | None = None
    """IANA name (`Europe/Berlin`); null is the scheduler's own, and UTC where times are counted."""

    @property
    def cron(self) -> str:
        """The five fields, in numbers that every cron reads alike."""
        fields = (self.minutes, self.hours, self.days, self.months, self.weekdays)
        return " ".join(_field(field, every, "-") for field, every in zip(fields, _ALL, strict=True))

    @property
    def calendar(self) -> list[str]:
        """The same as `OnCalendar=` of systemd, which joins all parts by *and*: two where cron says *or*."""
        minutes, hours, days, months = (
            _field(field, every, "..", "02d")
            for field, every in zip((self.minutes, self.hours, self.days, self.months), _ALL[:4], strict=True)
        )
        clock = f"{hours}:{minutes}:00" + (f" {self.zone}" if self.zone else "")
        week = ",".join(_DAYS[day] for day in sorted(self.weekdays))
        either = self.days != _ALL[2] and self.weekdays != _ALL[4]
        dated, weekly = f"*-{months}-{days} {clock}", f"{week} *-{months}-* {clock}"
        if either:
            return [dated, weekly]
        return [dated if self.weekdays == _ALL[4] else f"{week} *-{months}-{days} {clock}"]

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the due moments after another one, without end, in UTC.

        Args:
            moment: With its time zone.
        """
        for due in CronSim(self.cron, moment.astimezone(zone_of(self.zone))):
            yield due.astimezone(UTC)

    def between(self, start: datetime, end: datetime) -> list[datetime]:
        """List the due moments after `start`, up to and with `end`; at most some thousands."""
        found: list[datetime] = []
        for due in self.after(start):
            if due > end or len(found) == _MOST_COUNTED:
                break
            found.append(due)
        return found

    def shortest_gap(self, since: datetime, look: int = 60) -> timedelta:
        """Return the shortest time between two of the next due moments."""
        return min(after - before for before, after in pairwise(islice(self.after(since), look)))


def parse_timetable(text: str, zone: str | None = None) -> Timetable:
    """Read a cron expression or a time of day.

    Args:
        text: `30 2 * * *`, `0 3 * * mon-fri`, or `02:30` for every day.
        zone: IANA name of a time zone.

    Raises:
        ConfigError: It is neither, schedulers would read it differently, or the zone is unknown.
    """
    zone_of(zone)
    if clock := _CLOCK.fullmatch(text.strip()):
        text = f"{int(clock[2])} {int(clock[1])} * * *"
    fields = text.split()
    if len(fields) != 5:
        msg = f"Wanted a time (02:30) or five fields of cron (30 2 * * *); found {text!r}."
        raise ConfigError(msg)
    if re.search(r"[L#W]\b|#", text.upper().replace("JUL", "")):
        msg = f"Wanted a schedule that every scheduler knows; {text!r} uses L, W or #. Name the days."
        raise ConfigError(msg)
    try:
        parsed = CronSim(text, datetime.now(UTC))
        next(parsed)
    except (CronSimError, StopIteration) as error:
        said = f" ({error})" if str(error) else ""
        msg = f"Wanted a schedule such as '30 2 * * *'; {text!r} is none, or never comes{said}."
        raise ConfigError(msg) from None
    days, week = fields[2], fields[4]
    if any(
        one != "*" and one.startswith("*") and other != "*" for one, other in ((days, week), (week, days))
    ):
        msg = (
            f"Wanted a schedule that every cron reads alike; {text!r} joins days of the month and of the "
            "week with a step after a star. Write the days out."
        )
        raise ConfigError(msg)
    weekdays = frozenset(day % 7 for day in parsed.weekdays if isinstance(day, int))
    monthdays = frozenset(parsed.days)
    if "*" not in (days, week) and (weekdays == _ALL[4] or monthdays == _ALL[2]):
        # `1 * 0-6` is the first of the month or any day of the week: every day.
        weekdays, monthdays = frozenset(_ALL[4]), frozenset(_ALL[2])
    return Timetable(
        frozenset(parsed.minutes),
        frozenset(parsed.hours),
        monthdays,
        frozenset(parsed.months),
        weekdays,
        zone,
    )


def zone_of(name: str | None) -> tzinfo:
    """Find a time zone by name; UTC where none is named.

    Raises:
        ConfigError: There is none of that name on this machine.
    """
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        msg = f"Wanted a time zone such as Europe/Berlin; {name!r} is not known on this machine."
        raise ConfigError(msg) from None


def _field(found: frozenset[int], every: set[int], to: str, form: str = "d") -> str:
    """Write numbers as ranges; runs of three and more are worth one."""
    if found == every:
        return "*"
    parts: list[str] = []
    numbers = sorted(found)
    while numbers:
        end = 0
        while end + 1 < len(numbers) and numbers[end + 1] == numbers[end] + 1:
            end += 1
        if end < 2:
            end = 0
            parts.append(format(numbers[0], form))
        else:
            parts.append(f"{numbers[0]:{form}}{to}{numbers[end]:{form}}")
        numbers = numbers[end + 1 :]
    return ",".join(parts)
