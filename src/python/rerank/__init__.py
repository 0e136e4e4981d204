"""rerank: a batch reranker. ``Reranker`` is a loaded model that scores pairs of a query and a document.

The command ``rerank``, which comes with this package, ranks files: ``rerank --help``.
"""

from ._rerank import VERSION as __version__
from ._reranker import Ranked, Reranker

__all__ = ["Ranked", "Reranker", "__version__"]
