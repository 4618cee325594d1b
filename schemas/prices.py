"""What computing costs where this runs, for the table `costs`."""

from pydantic import Field

from schemas.section import Section


class Prices(Section):
    """Prices of what a run uses; with all of them 0, `costs.money` is null.

    They change no word of any table but `costs`. Tokens of the vision-language model are priced by
    `vision.input_price` and `vision.output_price`.
    """

    currency: str = Field("", max_length=16)
    """What the prices are in (`EUR`); only shown."""
    cpu_hour: float = Field(0.0, ge=0)
    """Price of an hour of one core at work."""
    gpu_hour: float = Field(0.0, ge=0)
    """Price of an hour of one whole GPU; an operator that holds a quarter of it pays a quarter."""
    fetched_gb: float = Field(0.0, ge=0)
    """Price of a billion bytes that come from an object store."""
    input_tokens: float = Field(0.0, ge=0)
    """Price of a million tokens that go into the language model that writes summaries."""
    output_tokens: float = Field(0.0, ge=0)
    """Price of a million tokens that it writes."""
