from checks import MODEL, TEXT, Person, run
from langchain_openai import ChatOpenAI

llm = ChatOpenAI(model=MODEL, temperature=0, max_retries=0)


def invoke() -> None:
    assert isinstance(llm.with_structured_output(Person).invoke(TEXT), Person)


def invoke_with_schema() -> None:
    schema = {**Person.model_json_schema(), "additionalProperties": False}
    answer = llm.with_structured_output(schema, method="json_schema", strict=True).invoke(TEXT)
    Person.model_validate(answer)


def invoke_with_raw() -> None:
    answer = llm.with_structured_output(Person, include_raw=True).invoke(TEXT)
    assert answer["parsing_error"] is None
    assert isinstance(answer["parsed"], Person)
    assert answer["raw"].usage_metadata["output_tokens"] > 0


def stream() -> None:
    assert isinstance(list(llm.with_structured_output(Person).stream(TEXT))[-1], Person)


def invoke_by_tool() -> None:
    answer = llm.with_structured_output(Person, method="function_calling").invoke(TEXT)
    assert isinstance(answer, Person)


def bind_tools() -> None:
    message = llm.bind_tools([Person], tool_choice="required", strict=True).invoke(TEXT)
    assert message.invalid_tool_calls == []
    assert [Person.model_validate(call["args"]) for call in message.tool_calls]


def stream_tools() -> None:
    whole = None
    for chunk in llm.bind_tools([Person], tool_choice="required").stream(TEXT):
        whole = chunk if whole is None else whole + chunk
    assert [Person.model_validate(call["args"]) for call in whole.tool_calls]


run(
    "langchain-openai",
    {
        "`with_structured_output` of a pydantic model": invoke,
        '`with_structured_output` of a JSON Schema, `method="json_schema"`, `strict=True`': (
            invoke_with_schema
        ),
        "`with_structured_output`, `include_raw=True`": invoke_with_raw,
        "`with_structured_output`, streamed": stream,
        '`with_structured_output`, `method="function_calling"`': invoke_by_tool,
        "`bind_tools`": bind_tools,
        "`bind_tools`, streamed": stream_tools,
    },
)
