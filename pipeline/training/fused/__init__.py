"""A cohort of trials trained as one stacked computation."""
