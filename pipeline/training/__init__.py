"""Training: the step, the epoch loop, schedules, the state that a run resumes from."""
