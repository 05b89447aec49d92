"""The state from which an interrupted run resumes."""
