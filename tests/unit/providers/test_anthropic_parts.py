"""Images, files and marks for the prompt cache, as people reported them, on their way to the Messages API."""

from __future__ import annotations

from typing import Any

import pytest

from streams.providers.formats.wire import CannotTranslateError
from tests.unit.providers.anthropic_samples import LOOK, MARK, USER, call, result, sent, uses

JPEG, PNG, GIF = "/9j/4AAQSkZJRg==", "iVBORw0KGgoAAAANSUhEUg==", "R0lGODlhAQABAAAAACw="
WEBP = "UklGRiQAAABXRUJQVlA4"


def part(url: str) -> Any:
    return sent({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})["messages"][0][
        "content"
    ][0]


@pytest.mark.parametrize(
    ("url", "media_type", "data"),
    [
        pytest.param(f"data:image/jpg;base64,{JPEG}", "image/jpeg", JPEG, id="NousResearch/hermes-agent#55432"),
        pytest.param(f"data:image/png;base64,{JPEG}", "image/jpeg", JPEG, id="anthropics/claude-code#15746"),
        pytest.param(f"data:image/webp;base64,{PNG}", "image/png", PNG, id="claude-code-web-webp-label"),
        pytest.param(f"data:image/jpeg;charset=utf-8;base64,{JPEG}", "image/jpeg", JPEG, id="parameters"),
        pytest.param(f"DATA:Image/PJPEG;name=a.jpg;BASE64,{JPEG}", "image/jpeg", JPEG, id="letters"),
        pytest.param(f"data:image/gif;base64,{GIF[:8]}\r\n{GIF[8:]}", "image/gif", GIF, id="line-breaks"),
        pytest.param(f"data:;base64,{PNG.rstrip('=')}", "image/png", PNG, id="no-type-no-padding"),
        pytest.param(f"data:image/png;base64,{PNG.replace('=', '%3D')}", "image/png", PNG, id="percent"),
        pytest.param(f"data:application/octet-stream;base64,{WEBP}", "image/webp", WEBP, id="bytes"),
        pytest.param("data:image/jpeg;base64,aGVsbG8-_w==", "image/jpeg", "aGVsbG8+/w==", id="url-safe-alphabet"),
    ],
)
def test_images_are_sent_as_what_they_are(url: str, media_type: str, data: str) -> None:
    assert part(url) == {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


@pytest.mark.parametrize(
    ("url", "why"),
    [
        pytest.param("data:image/svg+xml;base64,PHN2Zz4=", "image/svg", id="hermes-agent#55432-svg"),
        pytest.param("data:image/heic;base64,AAAAGGZ0eXA=", "image/heic", id="telephones"),
        pytest.param("data:image/bmp;base64,Qk0=", "image/bmp", id="bmp"),
        pytest.param("data:image/png;base64,", "image/png", id="empty"),
        pytest.param("data:image/png;base64", "a comma", id="no-comma"),
        pytest.param("data:image/png;base64,é", "no base64", id="no-base64"),
        pytest.param("http://example.com/a.png", "https://", id="http"),
        pytest.param("/tmp/a.png", "data: URL", id="a-path"),
    ],
)
def test_what_is_no_image_that_the_api_takes_is_refused_before_the_call(url: str, why: str) -> None:
    with pytest.raises(CannotTranslateError, match=rf"messages\.0: .*{why}"):
        part(url)


def test_files() -> None:
    files = [
        {"file_data": "data:application/pdf;base64,JVBERi0xLjcK", "filename": "a.pdf"},
        {"file_data": "data:text/markdown;base64,IyBhCg=="},
        {"file_data": "https://example.com/a.pdf"},
        {"file_data": f"data:image/png;base64,{PNG}", "filename": "a.png"},
    ]
    blocks = sent({"role": "user", "content": [{"type": "file", "file": each} for each in files]})["messages"][0][
        "content"
    ]
    assert [(block["type"], block["source"]["type"]) for block in blocks] == [
        ("document", "base64"),
        ("document", "text"),
        ("document", "url"),
        ("image", "base64"),
    ]
    assert (blocks[0]["title"], blocks[1]["source"]["data"]) == ("a.pdf", "# a\n")
    with pytest.raises(CannotTranslateError, match="must come with its data"):
        sent({"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]})


def test_blocks_of_the_api_itself_pass() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "a"}
    own = {"type": "document", "source": source, "citations": {"enabled": True}, "title": None}
    assert sent({"role": "user", "content": [own]})["messages"][0]["content"] == [
        {"type": "document", "source": source, "citations": {"enabled": True}}
    ]


def test_a_result_of_a_tool_may_hold_an_image() -> None:
    content = [
        {"type": "text", "text": "Here:"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]
    block = sent(USER, uses(call("c")), result("c", content), tools=[LOOK])["messages"][2]["content"][0]
    assert [each["type"] for each in block["content"]] == ["text", "image"]


@pytest.mark.parametrize(
    ("messages", "tools"),
    [
        pytest.param([{"role": "system", "content": "long"} | MARK, USER], [], id="system"),
        pytest.param([USER | MARK], [], id="user"),
        pytest.param([{"role": "user", "content": [{"type": "text", "text": "x"} | MARK]}], [], id="text"),
        pytest.param(
            [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "text", "text": " "} | MARK]}],
            [],
            id="vercel/eve#2753",
        ),
        pytest.param(
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a/b"}} | MARK]}],
            [],
            id="image",
        ),
        pytest.param([USER, {"role": "assistant", "content": "a"} | MARK, USER], [], id="assistant"),
        pytest.param([USER, uses(call("c"), **MARK), result("c")], [LOOK], id="assistant-that-uses-a-tool"),
        pytest.param([USER, uses(call("c") | MARK), result("c")], [LOOK], id="call"),
        pytest.param([USER, uses(call("c")), result("c") | MARK], [LOOK], id="result"),
        pytest.param([USER, uses(call("c")), result("c", "") | MARK], [LOOK], id="empty-result"),
        pytest.param(
            [USER, uses(call("c")), result("c", [{"type": "text", "text": "r"} | MARK])], [LOOK], id="text-of-a-result"
        ),
        pytest.param([USER], [LOOK | MARK], id="tool"),
        pytest.param([USER], [{"type": "function", "function": {"name": "look"} | MARK}], id="function"),
    ],
)
def test_a_mark_for_the_prompt_cache_stays_where_the_caller_put_it(
    messages: list[dict[str, Any]], tools: list[Any]
) -> None:
    assert str(sent(*messages, tools=tools)).count("cache_control") == 1


def test_of_too_many_marks_the_last_ones_stay() -> None:
    """Wei-Shaw/sub2api#2144, envoyproxy/ai-gateway#1712."""
    texts = [{"type": "text", "text": str(number)} | MARK for number in range(4)]
    body = sent({"role": "system", "content": "s"} | MARK, {"role": "user", "content": texts}, tools=[LOOK | MARK])
    assert ["cache_control" in block for block in body["messages"][0]["content"]] == [False, False, True, True]
    assert "cache_control" in body["system"][0]
    assert "cache_control" in body["tools"][0]
