"""New tasks from code that is right: a mutation breaks it, tests that cover it notice, the reverse is the fix."""
