"""What a document is, and what can be known of one: tables in, tables out.

A table of documents has a column `text`, and `id` if you have ids: a pyarrow Table, a polars or pandas frame, or a
dict of columns. Nothing here needs Ray or a recipe; the first call of a function compiles it for this machine, once.

>>> import corpus
>>> english = (
...     "The committee met in the old town hall to discuss what should be done with the bridge that had carried "
...     "travellers over the river for two hundred years. Some of them wanted to have it repaired, and others said "
...     "that a new one would cost less and be safer. After a long evening they agreed to ask an engineer."
... )
>>> chinese = (
...     "委员会在旧市政厅开会，讨论应该怎样处理那座两百年来一直供旅客过河的桥。有的人希望把它修好，也有人说造一座新的"
...     "更便宜更安全。经过漫长的一晚，他们同意去请教一位工程师。他的报告将在明年春天公布。"
... )
>>> documents = {"id": ["a", "b", "c", "d"], "text": [english, chinese, english + " He came.", "点击这里！点击这里！"]}

Which are near-duplicates, and of which. The longest of a cluster is kept:

>>> found = corpus.deduplicate(documents, threshold=0.8)
>>> found.column_names
['id', 'keep', 'level', 'duplicate_of', 'similarity', 'cluster', 'cluster_size']
>>> found["keep"].to_pylist(), found["duplicate_of"].to_pylist()
([False, True, True, True], ['c', None, None, None])

What each is like, and whether it is worth training on, with reasons. `language="auto"` asks a language model first:

>>> corpus.measure(documents).select(["words", "han", "stop_words_en"]).to_pylist()[0]
{'words': 59, 'han': 0.0, 'stop_words_en': 8}
>>> corpus.judge(documents, language="zh")["reasons"].to_pylist()[3][0]
'words 4 < 50'

Where passages of an earlier document stand again, in bytes of the text, and the texts without them:

>>> repeats = corpus.find_repeats(documents, words=20, least=1)
>>> repeats["spans"].to_pylist()[2]
[{'start': 0, 'end': 307, 'kind': 'passage'}]
>>> corpus.spans.cut(corpus.as_documents(documents)["text"], [repeats], {})[2].as_py()
'He came.'

And the text of a page of HTML:

>>> page = "<html><body><nav><a href='/'>首页</a></nav><p>桥明年春天开工。</p></body></html>"
>>> corpus.extract_text(page).text
'桥明年春天开工。'
"""

from typing import TYPE_CHECKING

from corpus.lazy import lazy_exports

if TYPE_CHECKING:
    from corpus import spans as spans
    from corpus.dedup.in_memory import deduplicate as deduplicate
    from corpus.dedup.minhash import Scheme as Scheme
    from corpus.document import RejectedRecord as RejectedRecord
    from corpus.errors import CorruptShard as CorruptShard
    from corpus.errors import HeadwaterError as HeadwaterError
    from corpus.errors import UsageError as UsageError
    from corpus.extract.page_text import PageText as PageText
    from corpus.extract.page_text import extract_text as extract_text
    from corpus.io import table as table
    from corpus.io.document_table import as_documents as as_documents
    from corpus.io.table import read_table as read_table
    from corpus.language import identify_language as identify_language
    from corpus.linguistic.tables import judge as judge
    from corpus.linguistic.tables import measure as measure
    from corpus.linguistic.thresholds import Bounds as Bounds
    from corpus.linguistic.thresholds import override as override
    from corpus.passages.in_memory import find_repeats as find_repeats
    from corpus.url import canonical_url as canonical_url
    from corpus.url import site_of as site_of
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "corpus.dedup.in_memory": ["deduplicate"],
            "corpus.dedup.minhash": ["Scheme"],
            "corpus.document": ["RejectedRecord"],
            "corpus.errors": ["CorruptShard", "HeadwaterError", "UsageError"],
            "corpus.extract.page_text": ["PageText", "extract_text"],
            "corpus.io.document_table": ["as_documents"],
            "corpus.io.table": ["", "read_table"],
            "corpus.language": ["identify_language"],
            "corpus.linguistic.tables": ["judge", "measure"],
            "corpus.linguistic.thresholds": ["Bounds", "override"],
            "corpus.passages.in_memory": ["find_repeats"],
            "corpus.spans": [""],
            "corpus.url": ["canonical_url", "site_of"],
        },
    )
