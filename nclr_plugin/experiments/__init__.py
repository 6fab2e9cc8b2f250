"""Several trainings and evaluations, and one table of them."""
