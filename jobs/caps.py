"""`--max-tokens` and `--max-cost`: a run stops before it spends more on captions than was allowed.

Planning what a model is shown costs no model, so the whole plan is counted before the first
question. Nothing is shown of a plan that is too large; what was read and heard is in the lake.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from jobs.budget import BudgetSpent
from operators.asked import most_new_tokens
from schemas.arrow import from_table
from schemas.config import Config, ConfigError, Vision
from schemas.look import Look
from schemas.media import Planned


@dataclass(frozen=True, slots=True)
class Caps:
    """What captions may cost; null is no limit."""

    tokens: int | None = None
    """Tokens that go in and come out, all together."""
    cost: float | None = None
    """In the currency of `vision.input_price`."""

    def __bool__(self) -> bool:
        """Tell whether there is any limit."""
        return self.tokens is not None or self.cost is not None


NO_CAPS = Caps()


@dataclass(frozen=True, slots=True)
class Tally:
    """What showing looks to a model takes."""

    looks: int = 0
    pictures: int = 0
    visual_tokens: int = 0
    text_tokens: int = 0
    answer_tokens: int = 0
    """At most: answers mostly end before their limit."""

    @property
    def tokens(self) -> int:
        """All tokens that go in and come out, at most."""
        return self.visual_tokens + self.text_tokens + self.answer_tokens

    def cost(self, vision: Vision) -> float:
        """Price of all tokens, by the prices of the configuration."""
        into, out = self.visual_tokens + self.text_tokens, self.answer_tokens
        return (into * vision.input_price + out * vision.output_price) / 1e6


def tally(looks: Iterable[Look], vision: Vision) -> Tally:
    """Add up what looks take, asked once each."""
    listed = list(looks)
    return Tally(
        len(listed),
        sum(len(look.glances) for look in listed),
        sum(look.visual_tokens for look in listed),
        sum(look.text_tokens for look in listed),
        sum(most_new_tokens(vision, look.prompt) for look in listed),
    )


def require_prices(caps: Caps, vision: Vision) -> None:
    """Check that limits can be kept.

    Raises:
        ConfigError: A limit on cost without prices, or limits without a model.
    """
    if caps and not vision.looks:
        msg = "Wanted a vision-language model for --max-tokens and --max-cost; vision.engine is off."
        raise ConfigError(msg)
    if caps.cost is not None and not (vision.input_price or vision.output_price):
        msg = (
            "Wanted prices for --max-cost; found none. Set vision.input_price and vision.output_price, "
            "for a million tokens."
        )
        raise ConfigError(msg)


def check_caps(plans: Iterable[pa.Table], config: Config, caps: Caps) -> None:
    """Count a plan and compare it with what is allowed.

    Args:
        plans: Tables of `Planned` rows.
        config: Of the run.
        caps: What is allowed.

    Raises:
        BudgetSpent: The plan takes more.
    """
    found = tally(_looks(plans), config.vision)
    if caps.tokens is not None and found.tokens > caps.tokens:
        takes, allows = f"take up to {found.tokens} tokens", f"--max-tokens allows {caps.tokens}"
    elif caps.cost is not None and (cost := found.cost(config.vision)) > caps.cost:
        takes, allows = f"cost up to {cost:.2f}", f"--max-cost allows {caps.cost:.2f}"
    else:
        return
    msg = (
        f"{found.looks} captions would {takes}; {allows}. Nothing was shown to the model; what was read and "
        "heard is in the lake. Raise it, take fewer files with --limit, or lower vision.max_visual_tokens."
    )
    raise BudgetSpent(msg)


def _looks(plans: Iterable[pa.Table]) -> Iterator[Look]:
    for table in plans:
        for planned in from_table(Planned, table):
            yield from (unit.look for unit in planned.units if unit.look is not None)
