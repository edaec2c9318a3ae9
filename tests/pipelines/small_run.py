"""A very small crawl of three dumps, English and Chinese, with revisions, copies and noise; and a recipe for it.

English is Python's own reference manual, which every interpreter carries; Chinese is composed from the sentences below.
"""

import html
import random
from datetime import UTC, date, datetime
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

from pipelines.config.recipe import Recipe, validate
from pipelines.sample.crawl import write_dump
from pipelines.sample.packages import Release
from pipelines.sample.pages import Page

DUMPS = {"CC-MAIN-2019-43": 2019, "CC-MAIN-2020-40": 2020, "CC-MAIN-2021-04": 2021}
SENTENCES = """数据工程师的工作是让每一个字节都有来历。在大规模语料的处理中，去重是最重要的步骤之一。
我们先从网页中抽取正文，然后识别它的语言。如果两篇文章几乎相同，只保留质量更高的那一篇。
这个系统可以在一台机器上运行，也可以在一个集群上运行。北京的秋天很短，但是天空非常蓝。
他每天早上都会沿着河边跑步，然后去图书馆看书。老师告诉学生们，学习一门语言需要耐心和时间。
昨天下午下了一场大雨，街道上的人都跑进了商店。这座城市的历史可以追溯到两千多年以前。
算法的复杂度决定了程序在大数据上的表现。她把写好的信放进信封里，贴上了邮票。
为了验证这个结论，研究人员重新做了三次实验。农民们在春天播种，在秋天收获粮食。
内存的大小是有限的，所以排序必须在磁盘上完成。火车在山谷之间缓慢地行驶，窗外是一片金色的麦田。
分布式训练要求每一台机器看到相同的数据顺序。孩子们在公园里放风筝，老人们坐在长椅上下棋。""".replace("\n", "")
_RELEASE = Release("tests", "1", date(2018, 1, 1), "0" * 64)


def write_crawl(root: Path, english: int = 24, chinese: int = 12) -> None:
    """Write the crawl: each dump has most pages again, some of them revised, some new, and a few that are no text."""
    manual = [text for _, text in sorted(topics.items()) if 1500 < len(text) < 9000][: english * 2]
    sentences = [part + "。" for part in SENTENCES.split("。") if part]
    for number, (dump, year) in enumerate(DUMPS.items()):
        chance = random.Random(number)
        pages = []
        for index in range(english + chinese):
            text = manual[index] if index < english else "\n".join(_paragraphs(random.Random(index), sentences))
            if chance.random() < 0.3:
                text += f"\n\nThis page was revised in {year}." if index < english else f"\n\n本页于{year}年修订。"
            if index % 7 != number:
                pages.append(_page(f"https://{'docs' if index < english else 'zh'}.example.org/{index}.html", text))
        pages.append(_page(f"https://www.example.net/only-in-{year}.html", manual[english + number]))
        pages.append(_page("https://spam.example.com/", "buy now " * 400))
        image = b"\x89PNG" + bytes(40)
        pages.append(Page("https://x.example.com/a.png", image, "image/png", _RELEASE, "-", "-", False))
        write_dump(root, dump, datetime(year, 1, 4, 6, tzinfo=UTC), pages)


def _paragraphs(chance: random.Random, sentences: list[str]) -> list[str]:
    return ["".join(chance.sample(sentences, 6)) for _ in range(8)]


def _page(url: str, text: str) -> Page:
    paragraphs = "".join(f"<p>{html.escape(part)}</p>" for part in text.split("\n\n"))
    body = f"<html><head><title>{url}</title></head><body><main><h1>{url}</h1>{paragraphs}</main></body></html>"
    return Page(url, body.encode(), "text/html; charset=utf-8", _RELEASE, "-", "-", True)


def small_recipe(crawl: Path | str, root: Path | str, **changes: Any) -> Recipe:
    """A recipe over the crawl with every stage small enough for a test."""
    value: dict[str, Any] = {
        "name": "small",
        "root": str(root),
        "inputs": [{"crawl": str(crawl), "dumps": list(DUMPS)}],
        "passages": {"words": 20, "line_documents": 5, "partitions": 2},
    }
    return validate(value | changes, "small")


def outputs(root: Path) -> dict[str, bytes]:
    """Every output below a root by name; the logs of runs and the drawn report hold times and are left out."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).parts[0] not in ("runs", "reports")
    }
