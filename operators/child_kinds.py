"""Which children a run needs at once, by what they import.

Known apart from what uses them, so that children can import while their parent still does.
"""

DECODER = "decoder"
RECOGNISER = "recogniser of text"

DECODER_MODULES = (
    "operators.probe_video",
    "operators.decode_video",
    "operators.subtitles",
    "operators.probe_document",
    "operators.decode_pdf",
    "operators.decode_image",
    "operators.decode_sound",
)
"""What a decoding child imports before its memory is limited."""

RECOGNISER_MODULES = ("operators.ocr_engines", "operators.ocr_rapidocr")
"""What a recognising child imports for the default engine."""
