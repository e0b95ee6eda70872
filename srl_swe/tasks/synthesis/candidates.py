"""Which mutants are tried, in which order, and which of them make good tasks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from srl_swe.records import Mutation
from srl_swe.tasks.synthesis.journal import KEPT, Entry
from srl_swe.tasks.synthesis.operators import MutationError, apply, sites
from srl_swe.tasks.synthesis.survey import Survey
from srl_swe.tasks.synthesis.trials import Trial, TrialResult

PER_FUNCTION = 2
"""Most tasks of one function."""
_TRIED_PER_FUNCTION = 10
_MOST_FUNCTIONS = 20
_MOST_SHARE = 0.5
_MOST_SHARE_OF_SAMPLE = 0.7
_MOST_TESTS = 60
_SAMPLE = 40
_MOST_FILES = 3
_LARGEST_INVENTORY = 800
_SLOWEST_S = 8.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """Code with a fault that may become a task."""

    function: str
    """``path:name``."""
    mutations: tuple[Mutation, ...]
    """All of one file."""
    tests: tuple[str, ...]
    """Node ids of the tests that run one of the lines."""

    def trial(self, sources: Mapping[str, str], survey: Survey) -> Trial:
        """The run of tests that can notice it: some, of as many functions as can be, or all where they are few."""
        files = sorted({test.partition("::")[0] for test in self.tests})
        everything = [test for file in files for test in survey.files[file]]
        if len(files) <= _MOST_FILES and len(everything) <= 2 * _SAMPLE and survey.takes(everything) < 1:
            return self._trial(everything, sources, survey)
        turn: Counter[str] = Counter()
        places = {}
        for test in self.tests:
            turn[test.partition("[")[0]] += 1
            places[test] = turn[test.partition("[")[0]]
        chosen = sorted(self.tests, key=places.__getitem__)
        step = max(1, len(turn) // _SAMPLE)
        return self._trial([*chosen[: len(turn) : step], *chosen[len(turn) :]][:_SAMPLE], sources, survey)

    def whole_trial(self, files: Sequence[str], sources: Mapping[str, str], survey: Survey) -> Trial:
        """The run of everything in some test files."""
        return self._trial([test for file in files for test in survey.files[file]], sources, survey)

    def _trial(self, tests: Sequence[str], sources: Mapping[str, str], survey: Survey) -> Trial:
        path = self.mutations[0].path
        return Trial(
            run=tuple(dict.fromkeys(test.partition("::")[0] for test in tests)),
            only=tuple(tests),
            write={path: apply(sources[path], self.mutations)},
            limit_s=8.0 + 4 * survey.takes(tests),
            test_limit_s=2.0 + 4 * max(map(survey.seconds.__getitem__, tests)),
            most=_MOST_TESTS,
        )


def candidates(sources: Mapping[str, str], survey: Survey, rng: random.Random) -> list[Candidate]:
    """Every mutant worth a try, so ordered that functions and operators take turns."""
    waiting: dict[str, list[Candidate]] = {}
    for path, covered in sorted(survey.covered.items()):
        for name, found in sites(sources[path], path=path, lines=covered.keys()).items():
            made = [
                Candidate(function=f"{path}:{name}", mutations=(mutation,), tests=tuple(sorted(covered[mutation.line])))
                for mutation in found
            ]
            rng.shuffle(made)
            waiting[f"{path}:{name}"] = [one for one in made if _affordable(one, survey)]
    functions = sorted(waiting)
    rng.shuffle(functions)
    used: Counter[str] = Counter()
    ordered: list[Candidate] = []
    for _ in range(_TRIED_PER_FUNCTION):
        for function in functions:
            if waiting[function]:
                chosen = min(waiting[function], key=lambda one: used[one.mutations[0].operator])
                waiting[function].remove(chosen)
                used[chosen.mutations[0].operator] += 1
                ordered.append(chosen)
    return ordered


def combined(
    entries: Sequence[Entry], survey: Survey, sources: Mapping[str, str], rng: random.Random
) -> list[Candidate]:
    """Two or three faults of one function at once, each of which was seen to break other tests than the others."""
    by_function: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.broken and len(entry.mutations) == 1:
            by_function.setdefault(entry.function, []).append(entry)
    made = []
    for function, found in sorted(by_function.items()):
        pairs = [group for size in (3, 2) for group in combinations(found, size) if _differ(group)]
        rng.shuffle(pairs)
        for group in pairs:
            mutations = tuple(sorted((entry.mutations[0] for entry in group), key=lambda m: (m.line, m.column)))
            path = mutations[0].path
            try:
                apply(sources[path], mutations)
            except MutationError:
                continue
            tests = {test for m in mutations for test in survey.covered[path].get(m.line, ())}
            candidate = Candidate(function=function, mutations=mutations, tests=tuple(sorted(tests)))
            if _affordable(candidate, survey):
                made.append(candidate)
                break
    rng.shuffle(made)
    return made


def first_refusal(
    candidate: Candidate, result: TrialResult, survey: Survey, earlier: Sequence[Entry]
) -> tuple[str, str]:
    """Why a mutant makes no task, in few words, and what more is to be said; empty where it may make one.

    Args:
        candidate: The mutant.
        result: Of `Candidate.trial`.
        survey: Of the package.
        earlier: What was tried before.
    """
    if reason := _broken_run(result):
        return reason
    broken = broken_tests(result)
    if not broken:
        return "no test notices", ""
    if len(result.outcomes) >= _SAMPLE // 2 and len(broken) > _MOST_SHARE_OF_SAMPLE * len(result.outcomes):
        return "breaks too much", f"{len(broken)} of {len(result.outcomes)} tests"
    size = sum(len(survey.files[file]) for file in test_files(broken))
    if size > _LARGEST_INVENTORY:
        return "too many tests in its files", str(size)
    kept = [entry for entry in earlier if entry.outcome == KEPT]
    # Several faults at once stand beside the tasks that have one of them each.
    most = PER_FUNCTION + (len(candidate.mutations) > 1)
    if sum(entry.function == candidate.function for entry in kept) >= most:
        return "enough tasks of its function", ""
    places = {(m.path, m.line) for entry in kept for m in entry.mutations}
    if len(candidate.mutations) == 1 and (candidate.mutations[0].path, candidate.mutations[0].line) in places:
        return "same line as another", ""
    return "", ""


def second_refusal(
    result: TrialResult, files: Sequence[str], noticed: Sequence[str], survey: Survey, earlier: Sequence[Entry]
) -> tuple[str, str]:
    """The same after the run of everything in the test files.

    Args:
        result: Of `Candidate.whole_trial`.
        files: The test files.
        noticed: The tests that broke in the first run.
        survey: Of the package.
        earlier: What was tried before.
    """
    if reason := _broken_run(result):
        return reason
    broken = set(broken_tests(result))
    everything = {test for file in files for test in survey.files[file]}
    functions = {test.partition("[")[0] for test in broken}
    if len(functions) > _MOST_FUNCTIONS or len(broken) > min(_MOST_TESTS - 1, _MOST_SHARE * len(everything)):
        return "breaks too much", f"{len(functions)} test functions"
    if set(result.outcomes) != everything:
        return "its tests are not the same from run to run", ""
    if not broken >= {test for test in noticed if test.partition("::")[0] in files}:
        return "breaks other tests from run to run", ""
    if any(set(entry.broken) == broken for entry in earlier if entry.outcome == KEPT):
        return "breaks the same tests as another", ""
    return "", ""


def _broken_run(result: TrialResult) -> tuple[str, str] | None:
    if result.status != "ended":
        return ("takes too long", "") if result.status == "timeout" else ("ends the interpreter", "")
    return ("cannot be imported", result.errors[0]) if result.errors else None


def broken_tests(result: TrialResult) -> tuple[str, ...]:
    """Tests that do not pass any more, in their order."""
    return tuple(name for name, outcome in result.outcomes.items() if outcome != "passed")


def test_files(broken: Sequence[str]) -> tuple[str, ...]:
    """The few files that hold most of the tests that break."""
    counts = Counter(test.partition("::")[0] for test in broken)
    return tuple(sorted(file for file, _ in counts.most_common(_MOST_FILES)))


def _affordable(candidate: Candidate, survey: Survey) -> bool:
    return bool(candidate.tests) and survey.takes(candidate.tests) <= _SLOWEST_S


def _differ(group: Sequence[Entry]) -> bool:
    sets = [set(entry.broken) for entry in group]
    places = {entry.mutations[0].line for entry in group}
    return len(places) == len(group) and all(not one <= other for one in sets for other in sets if one is not other)
