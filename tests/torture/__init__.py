"""What happens to jobs when something breaks."""
