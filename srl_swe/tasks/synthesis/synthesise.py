"""From packages to tasks: survey, mutants, their trial, and the grader's own word on each that becomes a task."""

from __future__ import annotations

import dataclasses
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

from srl_swe.errors import InfrastructureError, TaskError
from srl_swe.sandbox.calls import shared_client
from srl_swe.sandbox.protocol import Sandbox
from srl_swe.tasks.synthesis import journal as journals
from srl_swe.tasks.synthesis.candidates import (
    Candidate,
    broken_tests,
    candidates,
    combined,
    first_refusal,
    second_refusal,
    test_files,
)
from srl_swe.tasks.synthesis.drafts import Settings, TaskMaker
from srl_swe.tasks.synthesis.journal import KEPT, Entry, Journal
from srl_swe.tasks.synthesis.subjects import Subject, opened
from srl_swe.tasks.synthesis.survey import Survey, UnfitError, survey
from srl_swe.tasks.synthesis.trials import Trial, TrialResult, open_warm, try_all
from srl_swe.tasks.writing import write_suite

_BATCH = 8
_COMBINED_SHARE = 6
"""One task in so many has several faults."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one package."""

    label: str
    """The package and its release."""
    kept: int = 0
    """Tasks, those of earlier runs included."""
    refused: Counter[str] = field(default_factory=Counter)
    """Reasons, and how many mutants each turned away."""
    unfit: str = ""
    """Why no task can be made of the package."""
    failure: str = ""
    """What of the world failed; another run goes on from here."""


Listener = Callable[[str, int, int], None]
"""Called with a package's label, its tasks and its mutants so far; from several threads."""


def synthesise(
    origins: Sequence[str], settings: Settings, *, workers: int = 2, on_progress: Listener | None = None
) -> Iterator[Outcome]:
    """Make tasks of packages (``PACKAGE==VERSION``) and folders, as each comes to its end.

    Raises:
        TaskError: the suite is wrong, or another synthesis is at work on it.
        StorageError: it cannot be begun.
        EngineUnavailableError: no container engine answers.
    """
    name = settings.suite.resolve().name
    write_suite(settings.suite, name=name, description="Faults put into PyPI packages by mutation; split by package.")
    shared_client("docker")
    with journals.alone(settings.suite):
        yield from _in_parallel(origins, settings, workers, on_progress or _silent)


def _in_parallel(origins: Sequence[str], settings: Settings, workers: int, on_progress: Listener) -> Iterator[Outcome]:
    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="synthesise") as pool:
        waiting = [pool.submit(_package, origin, settings, stop, on_progress) for origin in origins]
        try:
            for done in as_completed(waiting):
                yield done.result()
        except BaseException:
            # What is at work ends after its mutants; its journal says where to go on.
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _silent(label: str, kept: int, tried: int) -> None:
    pass


def _package(origin: str, settings: Settings, stop: threading.Event, on_progress: Listener) -> Outcome:
    label = origin
    journal: Journal | None = None
    try:
        with opened(origin) as subject:
            label = subject.label
            journal = Journal(settings.suite, label)
            work = _Work(subject, settings, journal, stop, on_progress)
            if journal.finished != work.order:
                work.run()
        return Outcome(label=label, kept=len(journal.kept()), refused=journal.refusals())
    except (UnfitError, TaskError) as error:
        kept = len(journal.kept()) if journal else 0
        return Outcome(label=label, kept=kept, unfit=str(error))
    except InfrastructureError as error:
        kept = len(journal.kept()) if journal else 0
        return Outcome(label=label, kept=kept, failure=f"{type(error).__name__}: {error}")


class _Work:
    """One package's way from source to tasks."""

    def __init__(
        self, subject: Subject, settings: Settings, journal: Journal, stop: threading.Event, on_progress: Listener
    ) -> None:
        self._subject = subject
        self._settings = settings
        self._journal = journal
        self._stop = stop
        self._on_progress = on_progress
        self._sources = subject.sources()
        self._tasks = TaskMaker(subject, self._sources, settings)
        self._steady: dict[tuple[str, ...], bool] = {}
        """Test files to whether all of their tests pass when these files are run alone."""
        self.order = {"per_package": settings.per_package, "most_tried": settings.most_tried, "seed": settings.seed}
        """What a finished journal was finished with."""

    def run(self) -> None:
        """Try mutants until there are enough tasks."""
        found = self._survey()
        rng = random.Random(f"{self._settings.seed} {self._subject.label}")
        singles = candidates(self._sources, found, rng)
        several = self._settings.per_package // _COMBINED_SHARE
        with open_warm(found.image, backend=self._settings.backend) as sandbox:
            self._try(singles, found, sandbox, self._settings.per_package - several)
            if several and not self._stop.is_set():
                together = combined(self._journal.entries, found, self._sources, rng)
                self._try(together[: 2 * several], found, sandbox, self._settings.per_package)
            self._try(singles, found, sandbox, self._settings.per_package)
        if not self._stop.is_set():
            self._journal.finish(**self.order)

    def _survey(self) -> Survey:
        kept = self._journal.survey
        # One that an earlier run made says which image; where that is gone, everything is done again.
        if kept is not None:
            earlier = Survey.from_json(kept)
            if shared_client("docker").images.list(name=earlier.image):
                return earlier
        client = shared_client("docker")
        made = survey(self._subject, client, extra=self._settings.requirements, backend=self._settings.backend)
        self._journal.survey = made.to_json()
        return made

    def _try(self, chosen: Sequence[Candidate], found: Survey, sandbox: Sandbox, enough: int) -> None:
        done = {journals.key(entry.mutations) for entry in self._journal.entries}
        waiting = [one for one in chosen if journals.key(one.mutations) not in done]
        while waiting and len(self._journal.kept()) < enough and not self._stop.is_set():
            if len(self._journal.entries) >= self._settings.most_tried:
                return
            # About every second one is kept: few more are tried than are wanted.
            size = min(_BATCH, 2 * (enough - len(self._journal.kept())))
            batch, waiting = waiting[:size], waiting[size:]
            results = try_all(sandbox, [one.trial(self._sources, found) for one in batch])
            wholes = self._whole_runs(batch, results, found, sandbox)
            for candidate, result, whole in zip(batch, results, wholes, strict=True):
                if len(self._journal.kept()) >= enough or self._stop.is_set():
                    return
                self._journal.add(self._judge(candidate, result, whole, found))
                self._on_progress(self._subject.label, len(self._journal.kept()), len(self._journal.entries))

    def _whole_runs(
        self, batch: Sequence[Candidate], results: Sequence[TrialResult], found: Survey, sandbox: Sandbox
    ) -> list[TrialResult | None]:
        """Run everything in the test files that a task would have, and once for the same files without a fault."""
        wholes: list[TrialResult | None] = [None] * len(batch)
        trials: list[Trial] = []
        places: list[int | tuple[str, ...]] = []
        for index, (candidate, result) in enumerate(zip(batch, results, strict=True)):
            if first_refusal(candidate, result, found, self._journal.entries)[0]:
                continue
            files = test_files(broken_tests(result))
            whole = candidate.whole_trial(files, self._sources, found)
            if set(whole.only) <= set(result.outcomes):
                wholes[index] = result
            else:
                trials.append(whole)
                places.append(index)
            if files not in self._steady and files not in places:
                trials.append(dataclasses.replace(whole, write={}))
                places.append(files)
        for place, done in zip(places, try_all(sandbox, trials) if trials else [], strict=True):
            if isinstance(place, int):
                wholes[place] = done
            else:
                passing = {name for name, outcome in done.outcomes.items() if outcome == "passed"}
                self._steady[place] = {name for file in place for name in found.files[file]} <= passing
        return wholes

    def _judge(self, candidate: Candidate, result: TrialResult, whole: TrialResult | None, found: Survey) -> Entry:
        reason, detail = first_refusal(candidate, result, found, self._journal.entries)
        broken = broken_tests(result) if result.status == "ended" and not result.errors else ()
        task = ""
        if not reason:
            assert whole is not None, "a reason that was there before the run is there after it"
            files = test_files(broken)
            reason = "" if self._steady[files] else "its tests do not pass alone"
            if not reason:
                reason, detail = second_refusal(whole, files, broken, found, self._journal.entries)
            if not reason:
                wrong = set(broken_tests(whole))
                broken = tuple(test for file in files for test in found.files[file] if test in wrong)
                reason, detail, task = self._tasks.make(candidate, (*result.evidence, *whole.evidence), found, broken)
        return Entry(
            function=candidate.function,
            mutations=candidate.mutations,
            outcome=reason or KEPT,
            task=task,
            broken=broken,
            detail=detail[:500],
        )
