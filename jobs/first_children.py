"""Children that a run in threads asks for first are started before what names them is imported.

Where Ray does the work, its workers start side by side anyway. In one process all that a pipeline names is
imported first, a second and more on one core, while the others have nothing to do.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from cluster.nodes import cluster_nodes
from operators.child_kinds import DECODER, DECODER_MODULES, RECOGNISER, RECOGNISER_MODULES
from operators.isolate import spare_children
from schemas.config import Config


@contextmanager
def first_children(config: Config, readers: int) -> Iterator[None]:
    """Start a decoder for each core and the recognisers of text; those that nobody asks for end with the run.

    Args:
        config: Of the run.
        readers: How many recognisers there will be.
    """
    cores = sum(int(node.cpus) for node in cluster_nodes())
    with ExitStack() as stack:
        stack.enter_context(spare_children(DECODER, DECODER_MODULES, cores))
        if config.ocr.engine == "rapidocr":
            threads = config.resources.ocr_threads
            stack.enter_context(spare_children(RECOGNISER, RECOGNISER_MODULES, readers, threads))
        yield
