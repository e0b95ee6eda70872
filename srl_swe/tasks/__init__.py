"""Tasks as data: the folder format and its reader, preparation (base state, image, hidden tests), validation."""

from srl_swe.tasks.folder import read_suite, read_suites, read_task
from srl_swe.tasks.prepare import prepare
from srl_swe.tasks.validate import ValidationResult, validate, validate_suite

__all__ = ["ValidationResult", "prepare", "read_suite", "read_suites", "read_task", "validate", "validate_suite"]
