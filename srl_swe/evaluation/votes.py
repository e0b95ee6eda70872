"""Which answers vote together: final answers of maths problems that mean the same, however they are written."""

from __future__ import annotations

from srl_swe.rewards.mathematics import AnswerChecker, shared_checker


class SameAnswers:
    """Whether two final answers mean the same, by `AnswerChecker.equal`. Each pair is compared once.

    Two that could not be compared, for a failure of the verifier's process, vote apart and are counted.

    Args:
        checker: Compares; by default the one that all of a process share.
    """

    def __init__(self, checker: AnswerChecker | None = None) -> None:
        self.failures = 0
        """Pairs that could not be compared."""
        self._checker = checker
        self._known: dict[tuple[str, str], bool] = {}

    def __call__(self, first: str, second: str) -> bool:
        """Compare two answers.

        Raises:
            MissingDependencyError: the verifier is not installed, and the two are not both whole numbers.
        """
        pair = (first, second)
        if pair not in self._known:
            equal = (self._checker or shared_checker()).equal(first, second)
            self.failures += equal is None
            self._known[pair] = bool(equal)
        return self._known[pair]
