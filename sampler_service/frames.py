"""What the batch made, as frames of the contract."""

from formwork.sampler.v1 import sampler_pb2
from formwork_engine.vocabulary import Vocabulary

from mesh.errors import FormworkError, to_status
from sampler_service.outputs import Channel, Finish, Output, Timings, TokenOutput

_CHANNELS = {
    Channel.CONTENT: sampler_pb2.CHANNEL_CONTENT,
    Channel.REFUSAL: sampler_pb2.CHANNEL_REFUSAL,
}
_FINISHES = {
    Finish.STOP: sampler_pb2.FINISH_STOP,
    Finish.LENGTH: sampler_pb2.FINISH_LENGTH,
    Finish.ABORTED: sampler_pb2.FINISH_ABORTED,
}


def to_frame(output: Output, vocabulary: Vocabulary) -> sampler_pb2.Frame:
    """Return the frame of one sequence's output: mostly text alone, and one for each token."""
    frame = sampler_pb2.Frame(
        sequence_id=output.key.sequence,
        text=output.text,
        channel=_CHANNELS[output.channel],
        tokens=output.tokens,
    )
    if output.logprobs:
        frame.logprobs.extend(_to_logprob(token, vocabulary) for token in output.logprobs)
    if output.marks:
        frame.marks.extend(
            sampler_pb2.Mark(token_id=mark.token_id, position=mark.position)
            for mark in output.marks
        )
    if output.cached_prompt_tokens:
        frame.cached_prompt_tokens = output.cached_prompt_tokens
    if output.finish is not None:
        frame.finish = _FINISHES[output.finish]
    if output.error is not None:
        frame.error.CopyFrom(to_error(output.error))
    if output.timings is not None:
        frame.timings.CopyFrom(_to_timings(output.timings))
    return frame


def error_frame(sequence_id: int, error: FormworkError) -> sampler_pb2.Frame:
    """Return the only frame of a sequence that was not let in."""
    return sampler_pb2.Frame(sequence_id=sequence_id, error=to_error(error))


def to_error(error: FormworkError) -> sampler_pb2.SequenceError:
    """Return an error of one sequence."""
    return sampler_pb2.SequenceError(status=to_status(error).SerializeToString())


def _to_logprob(token: TokenOutput, vocabulary: Vocabulary) -> sampler_pb2.TokenLogprob:
    return sampler_pb2.TokenLogprob(
        token_id=token.token_id,
        token=vocabulary.token_bytes(token.token_id),
        logprob=token.logprob,
        top=[
            sampler_pb2.TopLogprob(
                token_id=token_id, token=vocabulary.token_bytes(token_id), logprob=logprob
            )
            for token_id, logprob in token.top
        ],
    )


def _to_timings(timings: Timings) -> sampler_pb2.Timings:
    return sampler_pb2.Timings(
        waited=_microseconds(timings.waited),
        prefill=_microseconds(timings.prefill),
        index_wait=_microseconds(timings.index_wait),
        decode=_microseconds(timings.decode),
        forced_tokens=timings.forced_tokens,
    )


def _microseconds(seconds: float) -> int:
    return max(0, round(seconds * 1e6))
