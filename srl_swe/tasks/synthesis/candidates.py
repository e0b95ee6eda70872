"""Which mutants are tried, in which order, and which of them make good tasks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from srl_swe.records import Mutation
from srl_swe.tasks.synthesis.journal import Entry
from srl_swe.tasks.synthesis.operators import MutationError, apply, sites
from srl_swe.tasks.synthesis.survey import Survey
from srl_swe.tasks.synthesis.trials import Trial, TrialResult

PER_FUNCTION = 2
"""Most tasks of one function."""
_TRIED_PER_FUNCTION = 10
_MOST_FUNCTIONS = 20
_MOST_SHARE = 0.5
_MOST_TESTS = 80
_MOST_FILES = 3
_LARGEST_INVENTORY = 800
_SLOWEST_S = 12.0


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
        """The run of the tests that can notice it."""
        path = self.mutations[0].path
        files = tuple(dict.fromkeys(test.partition("::")[0] for test in self.tests))
        return Trial(
            run=files,
            only=self.tests,
            write={path: apply(sources[path], self.mutations)},
            limit_s=8.0 + 3 * sum(survey.seconds[file] for file in files),
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


def refusal(candidate: Candidate, result: TrialResult, survey: Survey, earlier: Sequence[Entry]) -> tuple[str, str]:
    """Why a mutant makes no task, in few words, and what more is to be said; empty where it may make one."""
    if result.status != "ended":
        return ("takes too long", "") if result.status == "timeout" else ("ends the interpreter", "")
    if result.errors:
        return "cannot be imported", result.errors[0]
    broken = broken_tests(result)
    functions = {test.partition("[")[0] for test in broken}
    everything = {test.partition("[")[0] for names in survey.files.values() for test in names}
    if not broken:
        return "no test notices", ""
    if len(broken) >= _MOST_TESTS or len(functions) > min(_MOST_FUNCTIONS, _MOST_SHARE * len(everything)):
        return "breaks too much", f"{len(functions)} test functions"
    files = test_files(broken)
    size = sum(len(survey.files[file]) for file in files)
    if size > _LARGEST_INVENTORY:
        return "too many tests in its files", str(size)
    if size == sum(test.partition("::")[0] in files for test in broken):
        return "breaks every test of its files", ""
    if any(set(entry.broken) == set(broken) for entry in earlier if entry.outcome == "kept"):
        return "breaks the same tests as another", ""
    kept = [entry for entry in earlier if entry.outcome == "kept"]
    if sum(entry.function == candidate.function for entry in kept) >= PER_FUNCTION:
        return "enough tasks of its function", ""
    places = {(m.path, m.line) for entry in kept for m in entry.mutations}
    if len(candidate.mutations) == 1 and (candidate.mutations[0].path, candidate.mutations[0].line) in places:
        return "same line as another", ""
    return "", ""


def broken_tests(result: TrialResult) -> tuple[str, ...]:
    """Tests that do not pass any more, in their order."""
    return tuple(name for name, outcome in result.outcomes.items() if outcome != "passed")


def test_files(broken: Sequence[str]) -> tuple[str, ...]:
    """The few files that hold most of the tests that break."""
    counts = Counter(test.partition("::")[0] for test in broken)
    return tuple(sorted(file for file, _ in counts.most_common(_MOST_FILES)))


def _affordable(candidate: Candidate, survey: Survey) -> bool:
    files = {test.partition("::")[0] for test in candidate.tests}
    return bool(files) and sum(survey.seconds[file] for file in files) <= _SLOWEST_S


def _differ(group: Sequence[Entry]) -> bool:
    sets = [set(entry.broken) for entry in group]
    places = {entry.mutations[0].line for entry in group}
    return len(places) == len(group) and all(not one <= other for one in sets for other in sets if one is not other)
