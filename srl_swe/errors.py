"""One exception tree.

::

    SrlSweError
    ├── UserError (also ValueError)         what the user gave is wrong: the command line exits with 2
    │   ├── TaskError                       a task folder or suite: file and field are named
    │   ├── TrajectoryError                 a trajectory file: file, line and field are named
    │   ├── GradingRecordError              what a verdict is to be reached again from
    │   ├── ConfigError                     an option, or two that contradict each other
    │   ├── ModelError                      a model that cannot be found or loaded
    │   └── MissingDependencyError          an optional package is not installed: the extra is named
    ├── NoSignalError (also RuntimeError)   no group of rollouts varies in reward: nothing to learn from
    ├── DivergedError (also FloatingPointError) a loss or gradient that is not finite
    ├── MalformedActionError (also ValueError)  a model's text does not hold exactly one action
    └── InfrastructureError (also RuntimeError) the world failed, not the student: never a reward
        ├── EngineUnavailableError          no container engine answers
        ├── EndpointError                   a model's server does not answer, or not as it should
        │   └── ContextLengthError          the conversation is longer than the model's context
        ├── EngineMismatchError             an engine's log-probabilities are not the learner's: stale or wrong weights
        ├── ImageBuildError                 a task's image could not be made
        ├── SandboxError                    a sandbox could not do what was asked
        │   └── SandboxLostError            the sandbox is gone (killed, removed, out of memory)
        └── StorageError                    a file could not be written (disk full, read-only)
"""

from __future__ import annotations


class SrlSweError(Exception):
    """Root of every error this package raises on purpose."""


class UserError(SrlSweError, ValueError):
    """What the user gave is wrong. The message says what, where, and what was expected."""


class TaskError(UserError):
    """A task folder or suite is wrong."""


class TrajectoryError(UserError):
    """A trajectory file is wrong."""


class GradingRecordError(UserError):
    """What a verdict is to be reached again from is no record of a grading."""


class ConfigError(UserError):
    """An option is wrong, or two options contradict each other."""


class ModelError(UserError):
    """A model cannot be found or loaded."""


class MissingDependencyError(UserError):
    """An optional package is not installed."""


class NoSignalError(SrlSweError, RuntimeError):
    """No group of rollouts varies in reward, so that there is nothing to learn from."""


class DivergedError(SrlSweError, FloatingPointError):
    """A loss or a gradient is not finite."""


class MalformedActionError(SrlSweError, ValueError):
    """A model's text does not hold exactly one action."""


class InfrastructureError(SrlSweError, RuntimeError):
    """The world failed, not the student. Never turned into a reward."""


class EngineUnavailableError(InfrastructureError):
    """No container engine answers."""


class EndpointError(InfrastructureError):
    """A model's server does not answer, or not as it should. Never a malformed answer of the model's."""


class ContextLengthError(EndpointError):
    """The conversation is longer than the model's context. The episode ends there; asking again is no use."""


class EngineMismatchError(InfrastructureError):
    """An engine does not generate with the learner's weights: its log-probabilities differ from the learner's."""


class ImageBuildError(InfrastructureError):
    """An image could not be built."""


class SandboxError(InfrastructureError):
    """A sandbox could not do what was asked of it."""


class SandboxLostError(SandboxError):
    """The sandbox is gone: killed, removed or out of memory."""


class StorageError(InfrastructureError):
    """A file could not be written."""
