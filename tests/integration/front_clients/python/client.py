"""LangChain and LiteLLM against a front: FRONT_URL. Runs in an environment of its own; ends with 1 where something is wrong."""

from __future__ import annotations

import os
from typing import Any

import litellm
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

URL = os.environ["FRONT_URL"]
V1 = f"{URL}/v1"


def look(place: str = "") -> str:
    """Look at a place."""
    return f"{place}: a hill"


def langchain(name: str, model: Any) -> None:
    whole = model.invoke(f"hello {name}")
    assert whole.content, name
    assert whole.usage_metadata["output_tokens"] > 0, name
    assert "".join(str(part.text) for part in model.stream(f"stream {name}")), name
    bound = model.bind_tools([look], tool_choice="any")
    asked = HumanMessage(f"look {name}")
    used = bound.invoke([asked])
    assert used.tool_calls[0]["name"] == "look", name
    result = ToolMessage("a hill", tool_call_id=used.tool_calls[0]["id"])
    assert model.bind_tools([look]).invoke([asked, used, result]), name


def refusal(where: dict[str, Any]) -> str:
    """What a request with a wrong header is told."""
    try:
        litellm.completion(messages=MESSAGES, extra_headers={"x-headrace-timeout": "nonsense"}, **where)
    except litellm.BadRequestError as error:
        return str(error)
    return ""


langchain("chat", ChatOpenAI(model="small", base_url=V1, api_key="none", max_retries=0))
langchain("responses", ChatOpenAI(model="small", base_url=V1, api_key="none", max_retries=0, use_responses_api=True))
langchain("messages", ChatAnthropic(model="small", base_url=URL, api_key="none", max_retries=0, max_tokens=200))
embedding = OpenAIEmbeddings(model="small", base_url=V1, api_key="none", check_embedding_ctx_length=False)
assert len(embedding.embed_documents(["a", "b"])) == 2

MESSAGES = [{"role": "user", "content": "hello litellm"}]
for model, base in (("openai/small", V1), ("anthropic/small", URL)):
    where: dict[str, Any] = {"model": model, "api_base": base, "api_key": "none", "num_retries": 0, "max_tokens": 200}
    assert litellm.completion(messages=MESSAGES, **where).choices[0].message.content, model
    chunks = litellm.completion(messages=MESSAGES, stream=True, **where)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks), model
    assert "seconds" in refusal(where), model
assert len(litellm.embedding(model="openai/small", input=["a"], api_base=V1, api_key="none").data) == 1
