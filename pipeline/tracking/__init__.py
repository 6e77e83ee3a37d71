"""What a person sees: the progress display, the MLflow recorder, the leaderboard, pictures."""
