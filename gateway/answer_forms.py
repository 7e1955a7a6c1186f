"""The forms of a chat format as one tokenizer spells them, for the reader of answers."""

from dataclasses import dataclass

from gateway.chat_formats import ChatFormat, CustomInput, trigger_of
from gateway.control_tokens import ControlTokens, is_control


@dataclass(frozen=True)
class AnswerForms:
    """The forms of a chat format, control tokens as characters."""

    call_opening: str
    after_name: str
    call_closing: str
    calls_opening: str
    between_calls: str
    calls_closing: str
    trigger: str
    text_before_calls: bool
    content_opening: str
    thought_opening: str
    thought_end: str
    after_thoughts: str
    custom: CustomInput

    @classmethod
    def of(cls, form: ChatFormat, tokens: ControlTokens) -> "AnswerForms":
        """Return the forms of a format in a tokenizer's terms."""
        spell, call, thinking = tokens.spell, form.call, form.reasoning
        ends = spell(thinking.until + thinking.after if thinking else "")
        until = 1 if ends and is_control(ends[0]) else len(thinking.until if thinking else "")
        return cls(
            call_opening=spell(call.opening if call else ""),
            after_name=spell(call.after_name if call else ""),
            call_closing=spell(call.closing if call else ""),
            calls_opening=spell(form.calls_opening),
            between_calls=spell(form.between_calls),
            calls_closing=spell(form.calls_closing),
            trigger=trigger_of(form, tokens),
            text_before_calls=form.text_before_calls,
            content_opening=spell(form.content_opening),
            thought_opening=spell(thinking.opening if thinking else ""),
            thought_end=ends[:until],
            after_thoughts=ends[until:],
            custom=call.custom if call else CustomInput.WRAPPED,
        )
