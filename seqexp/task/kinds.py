"""The kinds of prediction by name, and the one of a dataset."""

from seqexp.spec import Output, TaskSpec
from seqexp.task.base import Task
from seqexp.task.multi_label import MultiLabel
from seqexp.task.next_token import NextToken
from seqexp.task.read_errors import ReadErrors
from seqexp.task.regression import Regression
from seqexp.task.sequence_class import SequenceClass
from seqexp.task.token_class import TokenClass

KINDS: dict[Output, type[Task]] = {
    Output.SEQUENCE_CLASS: SequenceClass,
    Output.MULTI_LABEL: MultiLabel,
    Output.REGRESSION: Regression,
    Output.TOKEN_CLASS: TokenClass,
    Output.NEXT_TOKEN: NextToken,
    Output.READ_ERRORS: ReadErrors,
}


def of(spec: TaskSpec) -> Task:
    """The kind of a dataset's targets."""
    return KINDS[spec.output](spec)  # type: ignore[call-arg]
