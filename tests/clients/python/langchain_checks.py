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


run(
    "langchain-openai",
    {
        "`with_structured_output` of a pydantic model": invoke,
        '`with_structured_output` of a JSON Schema, `method="json_schema"`, `strict=True`': (
            invoke_with_schema
        ),
        "`with_structured_output`, `include_raw=True`": invoke_with_raw,
        "`with_structured_output`, streamed": stream,
    },
)
